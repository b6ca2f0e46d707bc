"""What a request must be before any route sees it: from here, not from another site, small, and in time.

Each rule answers a hole that was found in a service of this kind: pages of other sites that post to services on
loopback, names that are rebound to it, forms whose content type needs no permission, uploads without bounds.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scenograph.studio.server.metrics import Metrics
from scenograph.studio.server.problems import ServiceError

MOST_BYTES = 8 * 2**20
"""Of a body."""
READ_AWAY = 4 * MOST_BYTES
"""Of a larger one so much is read and thrown away, so that its client gets to read the answer."""
MOST_HELD = 16 * MOST_BYTES
"""Of all bodies that are in memory at once."""
SECONDS = 20.0
"""In which a body must have arrived."""
COOKIE = "scenograph-token"
"""With the port behind it, as cookies of a host are those of all its ports, and two services may have two tokens."""
PAGES = ("/", "/docs")
"""What other sites may link to."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
METHODS = ("GET", "POST", "DELETE")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """The outermost layer of the service.

    Args:
        app: What is guarded.
        metrics: Where answers are counted.
        hosts: Names under which the service may be asked for; None for any, which only a token makes safe.
        token: What clients must know; None where all who reach the service may use it.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, hosts: Iterable[str] | None, token: str | None) -> None:
        self.app, self.metrics, self.token = app, metrics, token
        self.hosts = None if hosts is None else {host.casefold() for host in hosts}
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI wants it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answered = _Answer(send)
        body = b""
        try:
            self._check(scope)
            if scope["method"] == "POST":  # no other takes one; what a client sends all the same is never held
                body = await self._body(scope, receive)
            if (seen := self._with_token_in_address(scope)) is not None:
                await _redirect(seen, answered)
            else:
                await self.app(scope, _replayed(body, receive), answered)
        except ServiceError as error:
            await error.response()(scope, receive, answered)
        finally:
            self._held -= len(body)
            route = getattr(scope.get("route"), "path", "(none)")
            method = scope["method"] if scope["method"] in METHODS else "(other)"
            self.metrics.answered(method, route, answered.status)

    def _check(self, scope: Scope) -> None:
        """Raise ``ServiceError`` for a request that is none of ours."""
        headers, method = Headers(scope=scope), scope["method"]
        if method not in METHODS:
            raise ServiceError(405, "method_not_allowed", f"use {', '.join(METHODS)}")
        host = headers.get("host", "")
        if self.hosts is not None and _name_of(host) not in self.hosts:
            message = "the service is not known by this host name; open the address that it printed when it started"
            raise ServiceError(403, "unknown_host", message)
        _check_site(headers, method, scope["path"], host)
        if scope["path"] != "/healthz":
            self._check_token(headers, scope)
        if method == "POST" and _media_type(headers.get("content-type", "")) != "application/json":
            raise ServiceError(415, "not_json", "send JSON, with Content-Type: application/json")

    def _check_token(self, headers: Headers, scope: Scope) -> None:
        """Raise ``ServiceError`` for a client that does not know the token, from header, cookie or address."""
        if self.token is None:
            return
        said = [
            headers.get("authorization", "").removeprefix("Bearer "),
            _cookie(headers.get("cookie", ""), _cookie_name(scope)),
        ]
        if scope["path"] in PAGES:
            said.append(_token_in_address(scope))
        if not any(secrets.compare_digest(one.encode(), self.token.encode()) for one in said):
            message = "this service wants its token: Authorization: Bearer TOKEN, or open the address that it printed"
            raise ServiceError(401, "wrong_token", message)

    def _with_token_in_address(self, scope: Scope) -> list[tuple[str, str]] | None:
        """Headers that keep the token of an address in a cookie, and lead to the address without it."""
        if self.token is None or scope["path"] not in PAGES or not _token_in_address(scope):
            return None
        cookie = f"{_cookie_name(scope)}={self.token}; HttpOnly; SameSite=Strict; Path=/"
        return [("Location", scope["path"]), ("Set-Cookie", cookie)]

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The body of a request. Raises ``ServiceError`` if it is too large or too slow."""
        said = Headers(scope=scope).get("content-length", "")
        too_large = said.isdecimal() and len(said) < 20 and int(said) > MOST_BYTES
        parts: list[bytes] = []
        size, until = 0, time.monotonic() + SECONDS
        try:
            while True:
                try:
                    message = await asyncio.wait_for(receive(), max(until - time.monotonic(), 0))
                except TimeoutError:
                    raise ServiceError(408, "too_slow", f"the body did not arrive in {SECONDS:g} s") from None
                if message["type"] == "http.disconnect":
                    raise ServiceError(400, "cut_short", "the body ends early")
                part = message.get("body", b"")
                size += len(part)
                too_large = too_large or size > MOST_BYTES
                if too_large:
                    self._drop(parts)
                else:
                    self._hold(parts, part)
                if not message.get("more_body") or size > READ_AWAY:
                    break
        except BaseException:
            self._drop(parts)
            raise
        if too_large:
            raise ServiceError(413, "too_large", f"a body may have at most {MOST_BYTES:,} bytes")
        return b"".join(parts)

    def _hold(self, parts: list[bytes], part: bytes) -> None:
        if self._held + len(part) > MOST_HELD:
            raise ServiceError(429, "busy", "too many large requests at once", retry_after=2)
        self._held += len(part)
        parts.append(part)

    def _drop(self, parts: list[bytes]) -> None:
        self._held -= sum(map(len, parts))
        parts.clear()


class _Answer:
    """Sends an answer with the headers that every one has, and remembers its status."""

    def __init__(self, send: Send) -> None:
        self._send, self.status = send, 499
        """The status is that of a client that vanished, until there is another."""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


def is_loopback(host: str) -> bool:
    """Whether a host to listen on is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


def _replayed(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """A ``receive`` that gives a body that was read, and then what comes."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _check_site(headers: Headers, method: str, path: str, host: str) -> None:
    """Raise ``ServiceError`` for a request that a page of another site makes, or one of no site."""
    site = headers.get("sec-fetch-site", "none")
    linked = (
        method == "GET"
        and path in PAGES
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
    if site not in ("none", "same-origin") and not linked:
        raise ServiceError(403, "cross_site", "pages of other sites may not use this service")
    origin = headers.get("origin")
    if origin is not None and origin.casefold() not in (f"http://{host.casefold()}", f"https://{host.casefold()}"):
        raise ServiceError(403, "cross_site", "pages of other origins may not use this service")


def _name_of(host: str) -> str:
    """The name in a Host header, without the port; empty if it is malformed."""
    try:
        found = urlsplit(f"//{host}")
        return found.hostname or "" if found.netloc == host and "@" not in host else ""
    except ValueError:
        return ""


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().casefold()


def _cookie_name(scope: Scope) -> str:
    return f"{COOKIE}-{(scope.get('server') or ('', 0))[1]}"


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _token_in_address(scope: Scope) -> str:
    try:
        return parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=10).get("token", [""])[0]
    except ValueError:  # more fields than a page has
        return ""


async def _redirect(headers: list[tuple[str, str]], send: Send) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": 303, "headers": raw})
    await send({"type": "http.response.body", "body": b""})
