"""The HTTP server's beginning and end: a port that is free, a shutdown that loses nothing.

On the first SIGTERM or SIGINT readiness turns red, new requests are turned away
and running answers end in their own time, with the port still open; then the
process exits with status 0. A second signal does not wait.
"""

from __future__ import annotations

import asyncio
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.app import Shift
from service.settings import CannotStart, Settings

CLOSING_SECONDS = 5
"""For connections to close after the last answer has ended."""


class PortTaken(CannotStart):
    """The address cannot be listened on."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"cannot listen on {host}:{port}: {reason}; "
            "choose another with --host and --port, or --port 0 for any free one"
        )
        self.host, self.port, self.reason = host, port, reason


def listening_socket(settings: Settings) -> socket.socket:
    """A bound socket, taken before the model is loaded so that a mistake shows at once.

    Raises:
        PortTaken: something else listens there, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen()
    except OSError as error:
        listener.close()
        reason = error.strerror or "refused"
        raise PortTaken(settings.host, settings.port, reason) from None
    return listener


def address_of(listener: socket.socket) -> str:
    """The URL under which it is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class DrainingServer(uvicorn.Server):
    """A uvicorn server that drains before it stops listening."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=CLOSING_SECONDS,
            )
        )
        self._shift: Shift = app.state.shift
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Remember the loop that a signal has to reach."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called in the main thread between two instructions of whatever ran there."""
        if self._shift.readiness.draining or not self.started:
            self.should_exit = True
        else:
            self._shift.readiness.draining = True
            self._loop.call_soon_threadsafe(self._begin_draining)

    def _begin_draining(self) -> None:
        self._draining = self._loop.create_task(self._drain())

    async def _drain(self) -> None:
        try:
            await self._shift.drain()
        finally:
            self.should_exit = True
