"""The socket, and the signals that end the server."""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn

from server import __version__
from server.api.health import PROBES
from server.app import create_app
from server.errors import ListenError
from server.manifest import Manifest
from server.schema.signature import Mode
from server.settings import Settings

logger = logging.getLogger(__name__)

_KEEP_ALIVE_SECONDS = 75
"""How long a connection may be idle. Longer than proxies keep theirs, for who closes first does not lose a request."""


def listen(settings: Settings, manifest: Manifest) -> None:
    """Serve until Ctrl-C, SIGTERM or `POST /shutdown`, then return.

    Predictions that run get `settings.shutdown_grace` seconds to end; a second Ctrl-C ends them at once.

    Raises:
        ListenError: the address cannot be listened on.
    """
    with _bind(settings.host, settings.port) as listener:
        app = create_app(settings, manifest)
        # `server.logs.start` has configured the logging.
        # A client that does not read its answer must not keep the server from ending.
        patience = math.ceil(settings.shutdown_grace) + 1
        # Its other parser, httptools, does not notice that a client has left who had sent the next request already.
        config = uvicorn.Config(
            app,
            http="h11",
            log_config=None,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=patience,
        )
        server = _Server(config, app.state.drain, heeds_sigterm=not settings.await_explicit_shutdown)
        app.state.shutdown = server.stop
        if settings.threads is not None:
            logger.warning("--threads %d has no effect: connections take no threads here.", settings.threads)
        logging.getLogger("uvicorn.access").addFilter(_tell_request)
        if manifest.ignored:
            logger.info("%s: not for serving, and ignored: %s.", manifest.path, ", ".join(manifest.ignored))
        served = manifest.reference(Mode(settings.x_mode))
        logger.info("Darkroom %s serves %s on %s", __version__, served, _url(listener))
        server.run(sockets=[listener])


def _tell_request(record: logging.LogRecord) -> bool:
    """Make an event with facts of what uvicorn tells of a request, without its query, which may hold anything.

    Of probes none is made: orchestrators ask every few seconds, which would hide all others.
    """
    client, method, target, _version, status = record.args if isinstance(record.args, tuple) else ("", "", "", "", 0)
    path = str(target).partition("?")[0]
    record.msg, record.args = "Request answered", ()
    record.__dict__.update(method=method, path=path, status=status, client=client)
    return path not in PROBES


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        raise ListenError(
            f"Cannot listen on port {port} of {host}: {error}. "
            "Stop what uses it, or give another by --port and --host; --port 0 takes a free one."
        ) from error


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, drain: Callable[[], Awaitable[None]], *, heeds_sigterm: bool) -> None:
        super().__init__(config)
        self._drain = drain
        self._heeds_sigterm = heeds_sigterm

    def stop(self) -> None:
        """Take no more connections, and end when those that are open are done."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn waits for open connections before it ends the application, and they wait for their predictions.
        drain = asyncio.ensure_future(self._drain())
        await super().shutdown(sockets)
        if self.force_exit:
            drain.cancel()
        with suppress(asyncio.CancelledError):
            await drain

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn's own version raises the signal again once all is done, and so exits with its number; an orderly stop
        # is a success and exits with 0.
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self.handle_exit, signal.SIGINT, None)
        if self._heeds_sigterm:
            loop.add_signal_handler(signal.SIGTERM, self.handle_exit, signal.SIGTERM, None)
        else:
            loop.add_signal_handler(signal.SIGTERM, logger.info, "SIGTERM is ignored: POST /shutdown ends the server.")
        yield
