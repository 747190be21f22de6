"""Where the server listens, and by which names it may be asked for."""

import errno
import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import Final, NamedTuple

from histq.errors import Config

TOKEN_LENGTH: Final = 16
"""Characters that a token has at least where it is all that stands between us and others."""

_ADVICE: Final = {
    errno.EADDRNOTAVAIL: "name an address that this machine has",
    errno.EACCES: "ports below 1024 are for root; choose another",
}
"""What to do where the socket is not to be had; another port in all other cases."""

_LISTEN: Final = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^\[\]:/?#@\s]+)):(\d{1,5})")
_HOST: Final = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?")


class Address(NamedTuple):
    """`host` as the user wrote it, without brackets, and what it stands for."""

    host: str
    family: socket.AddressFamily
    ip: str
    port: int

    @property
    def loopback(self) -> bool:
        return ipaddress.ip_address(self.ip).is_loopback

    @property
    def every(self) -> bool:
        """Whether it is no address of its own, but all that this machine has."""
        return ipaddress.ip_address(self.ip).is_unspecified

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def resolve(listen: str) -> Address:
    """The address that `HOST:PORT` names. Raises Config."""
    found = _LISTEN.fullmatch(listen)
    if found is None or int(found[3]) > 0xFFFF:
        raise Config(
            f"--listen {listen!r} is no address; write HOST:PORT, such as 127.0.0.1:8787 or"
            " [::1]:8787"
        )
    host, port = found[1] or found[2], int(found[3])
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise Config(f"--listen {listen}: no address is known of {host!r}") from error
    return Address(host, family, str(place[0]).partition("%")[0], port)


def refuse_open(address: Address, token: str) -> None:
    """Raises Config where others than this machine's users could ask without a good token."""
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise Config("the token of --listen holds characters that no header carries; make another")
    if address.loopback or len(token) >= TOKEN_LENGTH:
        return
    what = f"needs one of at least {TOKEN_LENGTH} characters" if token else "needs a token"
    raise Config(
        f"--listen {address} can be reached from other machines, so it {what};"
        ' python3 -c "import secrets; print(secrets.token_urlsafe())" makes one'
    )


def bind(address: Address) -> socket.socket:
    """A socket there, not yet listening. Raises Config."""
    # asyncio turns Nagle's algorithm off only where the protocol is named. With it on, an answer of
    # two writes waits 40 ms for the client's delayed acknowledgement.
    bound = socket.socket(address.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address.ip, address.port))
    except OSError as error:
        bound.close()
        advice = _ADVICE.get(error.errno or 0, "choose another port")
        raise Config(f"--listen {address}: {error.strerror}; {advice}") from error
    bound.setblocking(False)
    return bound


def wrong_hosts(names: Sequence[str]) -> list[str]:
    """Those that no Host header can name."""
    return [name for name in names if not _HOST.fullmatch(name) or ":" in name]


class Hosts:
    """Which Host headers are answered.

    A page of another site can make a browser ask us under that site's own name, by letting the name
    point here: DNS rebinding. It cannot do so under our names, nor under an address.
    """

    def __init__(self, address: Address, more: Sequence[str] = ()) -> None:
        self._names = {name.lower() for name in ("localhost", address.host, *more)}
        self._every = address.every

    def known(self, header: str) -> bool | None:
        """None where it is no host at all."""
        found = _HOST.fullmatch(header)
        if found is None:
            return None
        name = (found[1] or found[2]).lower().removesuffix(".")
        if name in self._names:
            return True
        try:
            ip = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._every or ip.is_loopback
