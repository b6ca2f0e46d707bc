"""Listening: a port that is free, a token where others can reach it, and an end that loses no request."""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import suppress

import h11
import typer
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from scenograph.errors import UserError, reason
from scenograph.models.registry import shipped_models
from scenograph.pipelines.defaults import COLLAGE, DRAWINGS
from scenograph.studio.server.app import create_app
from scenograph.studio.server.offer import Given, Offer, named_folders
from scenograph.studio.server.security import LOOPBACK, SECONDS, is_loopback
from scenograph.studio.server.service import CLOSING, Service

PORTS_TRIED = 20
"""Where the one that was asked for is taken."""
SHORTEST_TOKEN = 16
MOST_CONNECTIONS = 512


def run_service(
    port: int,
    host: str,
    browser: bool,
    layouts: Sequence[str],
    images: Sequence[str],
    memories: Sequence[str],
    searches: Sequence[str],
    token: str | None,
) -> None:
    """Serve until interrupted.

    Args:
        port: To listen on; the next free one if it is taken, any if it is 0.
        host: To listen on.
        browser: Whether to open the page in a browser.
        layouts: Layout models, ``NAME=FOLDER``.
        images: Image models, likewise.
        memories: Memories of crops, likewise.
        searches: Indices of scenes to search, likewise.
        token: What clients must know. Beyond loopback one is made if there is none.

    Raises:
        UserError: For a wrong model or memory, a short token, and an address that cannot be listened on.
    """
    if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable()):
        raise UserError(f"--token: give at least {SHORTEST_TOKEN} printable ASCII characters, or leave it out")
    if token is not None and not all(one.isalnum() or one in "-_." for one in token):
        raise UserError("--token: it stands in addresses and cookies: use letters, digits, '-', '_' and '.'")
    token = token or (None if is_loopback(host) else secrets.token_urlsafe(24))
    taken = [*shipped_models(), COLLAGE]
    given = Given(
        named_folders(layouts, "--layout", taken),
        named_folders(images, "--image", taken),
        named_folders(memories, "--memory", [DRAWINGS]),
        named_folders(searches, "--search"),
    )
    listening = listen(host, port)
    service = Service(Offer(given))
    app = create_app(service, LOOPBACK if is_loopback(host) else None, token)
    address = _address(host, listening.getsockname()[1], token)
    if port not in (0, listening.getsockname()[1]):
        typer.echo(f"port {port} is taken")
    typer.echo(f"the studio is at {address} (Ctrl-C ends it)")
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http=Connection,
        ws="none",
        lifespan="on",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=round(CLOSING) + 5,
    )
    opened = (lambda: _open_browser(address)) if browser else (lambda: None)
    with suppress(KeyboardInterrupt):  # which uvicorn raises once more after its clean end
        Server(config, service, opened).run(sockets=[listening])
    typer.echo("the studio has ended")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on a port, or on the next free one. Raises ``UserError`` if there is none."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise UserError(f"--host {host}: {reason(error)}") from error
    for number in [port] if port == 0 else range(port, min(port + PORTS_TRIED, 65536)):
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address[0], number, *address[2:]))
            listening.listen(MOST_CONNECTIONS)
        except OSError as error:
            listening.close()
            if error.errno != errno.EADDRINUSE:
                raise UserError(f"cannot listen on {host} port {number}: {reason(error)}") from error
        else:
            return listening
    raise UserError(f"ports {port} to {number} are taken; name another with --port, or --port 0 for any")


class Connection(H11Protocol):
    """Uvicorn's, which is closed if a request is not begun, or its head does not arrive, in time.

    Otherwise clients that say nothing could hold all connections that there are.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As the base class."""
        super().connection_made(transport)
        self.loop.call_later(SECONDS, self._look, None)

    def _look(self, before: object) -> None:
        """Close the connection if nothing has come since the last look, when ``before`` was its request."""
        if self.transport.is_closing():
            return
        if self.cycle is before and self.conn.their_state is h11.IDLE:
            self.transport.close()
        else:
            self.loop.call_later(SECONDS, self._look, self.cycle)


class Server(uvicorn.Server):
    """Uvicorn's, which first has the service refuse what waits and finish what was begun.

    Args:
        config: Uvicorn's.
        service: Is closed when the server is told to end, before connections are.
        opened: Is called once it answers.
    """

    def __init__(self, config: uvicorn.Config, service: Service, opened: Callable[[], None]) -> None:
        super().__init__(config)
        self.service, self.opened = service, opened

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As the base class."""
        await super().startup(sockets)
        if self.started:
            threading.Thread(target=self.opened, daemon=True).start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As the base class."""
        self.service.close()
        await super().shutdown(sockets)


def _address(host: str, port: int, token: str | None) -> str:
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")


def _open_browser(address: str) -> None:
    if not webbrowser.open(address):
        logging.getLogger(__name__).warning("no browser was found; open %s", address)
