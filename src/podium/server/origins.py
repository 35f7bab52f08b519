"""Who may call from a browser: against pages of strangers that reach for a server on the visitor's own machine.

A page may send requests to any address, and its owner may let a name of his own lead to 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from podium.server.errors import ApiError, Header
from podium.server.http import Exchange

_ANY = "*"
_LOCAL = "localhost"
_METHODS: Header = (b"access-control-allow-methods", b"GET, POST, OPTIONS")
_HEADERS = ("authorization", "content-type", "idempotency-key", "openai-beta")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,64}")
_MOST_NAMES = 64
_KEPT: Header = (b"access-control-max-age", b"600")


def is_loopback(host: str) -> bool:
    """Return whether `host`, a name or an address, is this machine and nothing else."""
    if host == _LOCAL:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_caller(exchange: Exchange, *, public: bool) -> None:
    """Raise `ApiError` for a request under a foreign name, or from a foreign page.

    Under which names a server that others can reach is called is not known here. A page that is allowed is told so in
    the reply's head.
    """
    settings = exchange.settings
    hosts = exchange.headers(b"host")
    if not public:
        for host in hosts:
            name = _name_of(host)
            if not (is_loopback(name) or name in settings.hosts or _ANY in settings.hosts):
                raise _refused(
                    f"this server is not called {name[:80]!a}. If it is, as behind a proxy, say so: "
                    "`podium serve --allow-host NAME`",
                    "host_not_allowed",
                )
    for origin in exchange.headers(b"origin"):
        if _is_own(origin, hosts):
            continue
        if origin not in settings.origins and _ANY not in settings.origins:
            raise _refused(
                f"pages of {origin[:80]!a} may not call this server. To let them: "
                "`podium serve --allow-origin ORIGIN`",
                "origin_not_allowed",
            )
        exchange.own_headers += (
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", b"x-request-id, retry-after"),
            (b"vary", b"origin"),
        )


async def answer_preflight(exchange: Exchange) -> bool:
    """Answer a browser that asks whether a page that is allowed may call; return whether it was one."""
    asks = exchange.scope["method"] == "OPTIONS" and exchange.headers(b"origin")
    if not (asks and exchange.headers(b"access-control-request-method")):
        return False
    await exchange.respond(204, b"", (_METHODS, _allowed_headers(exchange), _KEPT))
    return True


def check_json(exchange: Exchange) -> None:
    """Raise `ApiError` unless the body is said to be JSON, which no page can say without asking first."""
    told = exchange.headers(b"content-type")
    kind = told[0].partition(";")[0].strip().lower() if len(told) == 1 else ""
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise ApiError(
            415,
            "the body must be JSON and say so: send the header `Content-Type: application/json`",
            code="unsupported_media_type",
        )


def _allowed_headers(exchange: Exchange) -> Header:
    """Return which headers the page may send: those that it asks for too, since clients' libraries have their own."""
    told = ",".join(exchange.headers(b"access-control-request-headers"))
    asked = [name.strip().lower() for name in told.split(",")[:_MOST_NAMES]]
    names = dict.fromkeys((*_HEADERS, *filter(_NAME.fullmatch, asked)))
    return b"access-control-allow-headers", ", ".join(names).encode()


def _name_of(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return host


def _is_own(origin: str, hosts: list[str]) -> bool:
    return len(hosts) == 1 and origin.lower() in {f"http://{hosts[0].lower()}", f"https://{hosts[0].lower()}"}


def _refused(message: str, code: str) -> ApiError:
    return ApiError(403, message, type="permission_error", code=code)
