"""Under which names a browser may ask `edge.predict --serve`: another web site's name that points here is refused."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


def names(host: str, bound: str) -> frozenset[str]:
    """The names under which a page may be asked for; numbers of addresses are allowed besides.

    Args:
        host: the address that the user named.
        bound: the number that it became; the one of every address adds this machine's own names.
    """
    allowed = {"localhost", host}
    if ipaddress.ip_address(bound.partition("%")[0]).is_unspecified:
        for name in (socket.gethostname(), socket.getfqdn()):
            allowed |= {name, f"{name}.local", f"{name.partition('.')[0]}.local"}
    return frozenset(name.lower().rstrip(".") for name in allowed) - {""}


class OwnNames:
    """Refuses a request whose Host is neither the number of an address nor one of these names.

    A page elsewhere can make its own name point here (DNS rebinding), and then its browser takes both for one site. It
    cannot make a number do so.
    """

    def __init__(self, app: ASGIApp, allowed: frozenset[str]) -> None:
        self._app, self._allowed = app, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.datastructures import Headers
        from starlette.responses import PlainTextResponse

        if scope["type"] == "http" and not self._knows(Headers(scope=scope).get("host", "")):
            line = (
                "this page is not served under that name; open it by the number of its address, as http://192.168.0.2:8000/"
            )
            await PlainTextResponse(line, 400)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _knows(self, header: str) -> bool:
        try:
            name = (urlsplit(f"//{header}").hostname or "").rstrip(".")
        except ValueError:
            return False
        return name in self._allowed or _is_number(name)


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
