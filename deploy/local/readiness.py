"""Whether a process of ours is ready: it answers 200 on `/health/ready`, and it is the one that listens there."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

from deploy.local.ports import listens

_ANSWER_SECONDS_MAX = 2.0


def why_not_ready(pid: int, url: str) -> str | None:
    """Why the process `pid` is not ready at `url`, in words; None when it is."""
    address = urlsplit(url)
    host, port = address.hostname or "", address.port or 80
    if not listens(pid, port):
        return f"it does not listen on port {port} yet"
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_SECONDS_MAX)
    try:
        connection.request("GET", f"{address.path.rstrip('/')}/health/ready")
        answer = connection.getresponse()
        body = answer.read(10_000)
    except (OSError, http.client.HTTPException) as error:
        return f"it does not answer: {error}"
    finally:
        connection.close()
    return None if answer.status == 200 else _reason(body) or f"it answers {answer.status}"


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["output"])
    except (ValueError, KeyError, TypeError):
        return ""
