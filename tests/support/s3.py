"""A small object store that speaks as much of S3 as is asked of it: PUT, HEAD, GET, multipart uploads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import md5

from aiohttp import web


class SmallS3:
    """Objects by their path, in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.refuses: int | None = None
        """The status with which everything is answered, where it is set."""
        self.signed: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.signed.append(request.headers.get("Authorization", ""))
        if self.refuses is not None:
            return web.Response(status=self.refuses, text="<Error><Code>SlowDown</Code></Error>")
        path, query = request.path, request.query
        if request.method == "POST" and "uploads" in query:
            self.uploads["upload-1"] = {}
            text = "<InitiateMultipartUploadResult><UploadId>upload-1</UploadId></InitiateMultipartUploadResult>"
            return web.Response(text=text)
        if request.method == "POST":
            parts = self.uploads.pop(query["uploadId"])
            self.objects[path] = b"".join(parts[number] for number in sorted(parts))
            text = "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
            return web.Response(text=text)
        if request.method == "PUT":
            content = await request.read()
            if "uploadId" in query:
                self.uploads[query["uploadId"]][int(query["partNumber"])] = content
            else:
                self.objects[path] = content
            return web.Response(headers={"ETag": f'"{md5(content, usedforsecurity=False).hexdigest()}"'})
        if path not in self.objects:
            return web.Response(status=404)
        content = self.objects[path]
        headers = {"ETag": '"e"', "Last-Modified": "Tue, 24 Nov 2026 00:00:00 GMT"}
        return web.Response(body=content, headers=headers)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Its address."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
        finally:
            await runner.cleanup()
