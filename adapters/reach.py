"""Where an adapter's own calls may go: over https, to addresses of the internet; elsewhere only as adapter.toml says.

Whoever can change a name in the DNS could otherwise have the adapter call what only it can reach: a database's port, a
cloud's metadata, another agency's system. So each address is judged at the moment of the connection, after the name
was resolved, whether it came from a name or stood in the URL. Addresses of IPv4 within IPv6 are judged as both.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_OLD_COMPATIBLE = ipaddress.IPv6Network("::/96")


class AddressRefused(OSError):
    """A call would go to an address that adapter.toml does not allow. Says which key allows it."""


class Reach:
    """Where one URL may be called."""

    def __init__(self, url: str, *, allow_private: bool | tuple[str, ...] = (), allow_http: bool = False) -> None:
        """
        Args:
            url: absolute.
            allow_private: True for every address of private networks and of this machine, or the names, addresses
                and networks that are allowed. Link-local and multicast addresses must be named.
            allow_http: whether calls may go unencrypted.
        """
        parts = urlsplit(url)
        self._scheme, self._host = parts.scheme, (parts.hostname or "").lower()
        self._any_private = allow_private is True
        names = allow_private if isinstance(allow_private, tuple) else ()
        self._networks = [network for name in names if (network := _network(name)) is not None]
        self._names = {name.lower() for name in names if _network(name) is None}
        self._allow_http = allow_http

    def problems(self) -> list[str]:
        """What is wrong with the URL and with what is allowed, as far as that shows without the DNS."""
        found = [
            f'allow_private: "{name}" is no host, address or network. Write "works.internal" or "10.2.0.0/16".'
            for name in sorted(self._names)
            if not _HOST.fullmatch(name)
        ]
        address = _address(self._host)
        local = self._host == "localhost" or (address is not None and address.is_loopback)
        if self._scheme != "https" and not self._allow_http and not (local and self._is_named(address)):
            leave = (
                f'allow_private = ["{self._host}"], since the system is on this machine'
                if local
                else "allow_http = true"
            )
            found.append(
                f"url: it is not https: anybody on the way can read what it says. Use https, or state {leave}."
            )
        elif address is not None and (problem := self._problem(address)):
            found.append(f"url: {problem}")
        return found

    def check(self, address: str) -> None:
        """
        Raises:
            AddressRefused: no call may go to this address.
        """
        parsed = _address(address)
        if parsed is None:
            raise AddressRefused(f"{address!r} is no address of the internet")
        if problem := self._problem(parsed):
            raise AddressRefused(problem)

    def socket(self, info: tuple[Any, ...]) -> socket.socket:
        """A socket for an address that was resolved (`aiohttp.TCPConnector(socket_factory=...)`).

        Raises:
            AddressRefused: no call may go there.
        """
        family, kind, protocol, _, address = info
        self.check(str(address[0]))
        return socket.socket(family=family, type=kind, proto=protocol)

    def _is_named(self, address: Address | None) -> bool:
        if self._host in self._names:
            return True
        return address is not None and any(address in network for network in self._networks)

    def _problem(self, address: Address) -> str | None:
        kinds = [(found, kind) for found in _meanings(address) if (kind := _kind(found)) is not None]
        if not kinds or self._is_named(address) or all(self._is_named(found) for found, _ in kinds):
            return None
        if self._any_private and all(kind in ("private", "this machine's own") for _, kind in kinds):
            return None
        shown = str(address) if str(address) == self._host else f"{address} of {self._host}"
        return (
            f"the address {shown} is {kinds[0][1]}, where calls do not go unless it is named. If it is meant, state "
            f'allow_private = ["{self._host}"].'
        )


def _kind(address: Address) -> str | None:
    """What keeps an address from being one of the internet; None where it is one."""
    if address.is_loopback or address.is_unspecified:
        return "this machine's own"
    if address.is_link_local:
        return "link-local"
    if address.is_multicast:
        return "multicast"
    if isinstance(address, ipaddress.IPv6Address) and address.is_site_local:
        return "private"
    if not address.is_global:  # private, carrier-grade NAT, documentation, reserved
        return "reserved" if address.is_reserved and not address.is_private else "private"
    return None


def _meanings(address: Address) -> Iterator[Address]:
    """The address, and the IPv4 address that it carries, where it is an IPv6 address that does."""
    carried: list[Address | None] = []
    if isinstance(address, ipaddress.IPv6Address):
        carried = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64 or (address in _OLD_COMPATIBLE and int(address) > 0xFFFF):
            carried.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    found = [one for one in carried if one is not None]
    if not found or not (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped):
        yield address
    yield from found


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
