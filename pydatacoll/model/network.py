"""Where a device may be: what is an address at all, and the networks that addresses must be in. Pure.

Names are not looked up here: only who connects may do that, once, and must check what he connects to (see
:meth:`pydatacoll.sdk.DriverContext.resolve`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from pydatacoll.errors import ConfigError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

SETTING = "manager.networks"

_NUMERIC = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)(?:\.(?:0[xX][0-9a-fA-F]*|[0-9]+))*", re.ASCII)
"""What a resolver may take as a spelling of an IPv4 address: decimal, octal and hexadecimal, one to four parts."""


def literal(host: str) -> IPAddress | None:
    """The address that a text spells, an IPv4-mapped IPv6 one as IPv4; ``None`` for a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return plain(address)


def plain(address: IPAddress) -> IPAddress:
    """An IPv4-mapped IPv6 address (``::ffff:10.0.0.1``) as the IPv4 address that packets go to."""
    return getattr(address, "ipv4_mapped", None) or address


def host_problem(host: str) -> str | None:
    """Why a text can be neither an address nor a name of a device; ``None`` when it can.

    Spellings of IPv4 addresses that only some programs understand (``2130706433``, ``0177.0.0.1``, ``127.1``) are
    refused: nobody sees what they mean.
    """
    address = literal(host)
    if address is not None:
        return "names no device" if address.is_unspecified else None
    if _NUMERIC.fullmatch(host):
        return "is no IPv4 address: four numbers from 0 to 255, without leading zeros, are expected (192.0.2.10)"
    if ":" in host or "%" in host:
        return "is no IPv6 address, and a name has no colon; the port has a field of its own"
    return None


def parse_network(text: str) -> IPNetwork:
    """CIDR notation, or one address, -> network; one of IPv4-mapped IPv6 addresses as IPv4.

    :raises ValueError: with the remedy.
    """
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} {_remedy(text)}") from None
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network


def _remedy(text: str) -> str:
    try:
        around = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return "is no network: write it as 10.1.0.0/16 or fd00:1::/32, a single address as 10.1.2.3"
    return f"is an address inside a network: write {around}, or the address without /"


class Networks:
    """The networks that devices may be in; without any, all.

    :raises ConfigError: when one of the texts is no network.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        try:
            self._networks = tuple(parse_network(text) for text in texts)
        except ValueError as error:
            raise ConfigError(f"{SETTING}: {error}") from error

    def __str__(self) -> str:
        return ", ".join(map(str, self._networks)) or "any"

    def allows(self, address: IPAddress) -> bool:
        """Whether a device may be at this address; ``0.0.0.0`` and ``::`` mean this machine and are never."""
        address = plain(address)
        if address.is_unspecified:
            return False
        return not self._networks or any(address in network for network in self._networks)

    def problem(self, host: str) -> str | None:
        """Why a device may not have this address or name; ``None`` when it may, as far as the text tells."""
        problem = host_problem(host)
        if problem is None and (address := literal(host)) is not None and not self.allows(address):
            problem = self.outside
        return problem

    @property
    def outside(self) -> str:
        """What is said of an address that is not allowed."""
        return f"is outside the networks that devices may be in ({SETTING}: {self})"


ANYWHERE = Networks()
