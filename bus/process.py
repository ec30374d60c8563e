"""How every process of Subak lives: starts, serves HTTP, waits for SIGTERM or its own failure, ends cleanly.

Exit codes are those of sysexits.h: 0 after a signal, 78 (EX_CONFIG) when a person must change something,
70 (EX_SOFTWARE) after a failure that a restart may cure.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from bus.collecting import collect_by_the_clock, tune_collector
from bus.connections import BoundedProtocol
from bus.logs import get_logger
from schemas.failures import Misconfigured, Retryable

log = get_logger("process")

EXIT_MISCONFIGURED = 78
EXIT_FAILED = 70


def run_process(main: Callable[[asyncio.Event], Awaitable[None]]) -> int:
    """Run `main` until it returns or a signal asks it to stop; returns the exit code.

    `main` gets an event that is set by SIGTERM or SIGINT, and must return soon after.
    """
    tune_collector()
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    with runner:
        return runner.run(_run(main))


async def _run(main: Callable[[asyncio.Event], Awaitable[None]]) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    collecting = asyncio.create_task(collect_by_the_clock(), name="collecting")
    try:
        await main(stopping)
    except Misconfigured as error:
        log.error("process_misconfigured", error=str(error))
        sys.stderr.write(f"{error}\n")
        return EXIT_MISCONFIGURED
    except Exception as error:
        log.exception("process_failed", error=str(error))
        return EXIT_FAILED
    finally:
        collecting.cancel()
    log.info("process_stopped")
    return 0


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, *, host: str, port: int) -> AsyncIterator[int]:
    """Serve `app` while the block runs; gives the port (a free one where `port` is 0).

    Raises:
        Misconfigured: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Misconfigured(f"cannot listen on {host}:{port}: {error.strerror}. Choose another http_port.") from error
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # nobody here asks for the client's address
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=5,
        ws="none",
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn offers no event to wait for
            await asyncio.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listener.close()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # uvicorn's own signature
        """Leave signals to `run_process`."""
        yield


async def until_stopped(stopping: asyncio.Event, *failures: asyncio.Future[None]) -> None:
    """Wait for the signal; raise at once what failed, if something does.

    Raises:
        Retryable: something was cancelled from within. It must not pass for an end that was asked for.
    """
    waiter = asyncio.create_task(stopping.wait())
    try:
        everything: list[asyncio.Future[Any]] = [waiter, *failures]
        await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
        for failure in failures:
            if not failure.done() or (failure.cancelled() and stopping.is_set()):
                continue
            try:
                failure.result()
            except asyncio.CancelledError as error:
                raise Retryable(f"{_name(failure)} was cancelled, and nobody had asked for it") from error
    finally:
        waiter.cancel()


def _name(work: asyncio.Future[None]) -> str:
    return work.get_name() if isinstance(work, asyncio.Task) else repr(work)
