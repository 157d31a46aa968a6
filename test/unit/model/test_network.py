"""Where a device may be."""

from __future__ import annotations

import ipaddress

import pytest

from pydatacoll.errors import ConfigError, Invalid
from pydatacoll.model.network import Networks, host_problem, literal
from pydatacoll.model.validation import Schemas
from pydatacoll.protocols.formula import FormulaDriver
from pydatacoll.protocols.modbus_tcp import ModbusTcpDriver

PLANT = Networks(["10.1.0.0/16", "192.0.2.7", "fd00:1::/32"])
PROTOCOLS = {"modbus_tcp": ModbusTcpDriver, "formula": FormulaDriver}


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "plc1",
        "plc-1.example.com",
        "gw_3",
        "::1",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
        "1plc",
        "10.0.0.1a",
    ],
)
def test_addresses_and_names_are_taken(host: str) -> None:
    assert host_problem(host) is None


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "127.1", "10.0.0.300", "010.0.0.1", "1.2.3.4.5", "0"],
)
def test_odd_spellings_of_ipv4_are_refused(host: str) -> None:
    """What inet_aton takes for an address, a person reads as another one or not at all."""
    problem = host_problem(host)
    assert problem is not None
    assert "IPv4" in problem


@pytest.mark.parametrize("host", ["plc1:502", "10.0.0.1:502", "fe80::1::2", "plc%eth0"])
def test_a_port_in_the_address_is_refused_with_the_remedy(host: str) -> None:
    problem = host_problem(host)
    assert problem is not None
    assert "port" in problem


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "::ffff:0.0.0.0"])
def test_the_unspecified_address_names_no_device(host: str) -> None:
    assert host_problem(host) == "names no device"


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("10.1.2.3", True),
        ("10.2.0.1", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("127.0.0.1", False),
        ("::1", False),
        ("fd00:1::5", True),
        ("fd00:1::5%3", True),
        ("fd00:2::5", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:10.2.0.1", False),
        ("::ffff:127.0.0.1", False),
        ("0.0.0.0", False),
        ("plc1", True),  # what a name means is checked when it is looked up
    ],
)
def test_only_addresses_inside_the_networks(host: str, inside: bool) -> None:
    assert (PLANT.problem(host) is None) is inside
    address = literal(host)
    assert address is None or PLANT.allows(address) is inside


def test_without_networks_every_address_is_allowed_but_the_unspecified() -> None:
    assert Networks().allows(ipaddress.ip_address("203.0.113.5"))
    assert not Networks().allows(ipaddress.ip_address("0.0.0.0"))
    assert not Networks(["0.0.0.0/0", "::/0"]).allows(ipaddress.ip_address("::"))


def test_a_network_of_mapped_addresses_means_the_ipv4_network() -> None:
    assert Networks(["::ffff:10.1.0.0/112"]).problem("10.1.2.3") is None


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("10.1.2.3/16", "write 10.1.0.0/16"),
        ("10.0.0.0/33", "write it as 10.1.0.0/16"),
        ("plant", "write it as"),
        ("", "write it as"),
    ],
)
def test_a_bad_network_is_a_configuration_error_with_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=r"^manager\.networks: ") as raised:
        Networks([text])
    assert remedy in str(raised.value)


def device(ip: str | None = None, protocol: str = "modbus_tcp") -> dict[str, object]:
    return {"id": "d", "name": "d", "protocol": protocol} | ({} if ip is None else {"ip": ip})


def test_a_device_outside_cannot_be_saved() -> None:
    schemas = Schemas(PROTOCOLS, PLANT)
    schemas.parse("device", device("10.1.2.3"))
    for ip in ("10.2.0.1", "2130706433", "127.0.0.1", None):  # the default is this machine
        with pytest.raises(Invalid) as raised:
            schemas.parse("device", device(ip), index=3)
        assert [(e.index, e.field) for e in raised.value.errors] == [(3, "ip")]


def test_a_bad_address_is_named_beside_other_mistakes() -> None:
    with pytest.raises(Invalid) as raised:
        Schemas(PROTOCOLS, PLANT).parse("device", {**device("10.1.2.3:502"), "port": 0})
    assert sorted(e.field for e in raised.value.errors) == ["ip", "port"]


def test_a_virtual_device_is_nowhere() -> None:
    Schemas(PROTOCOLS, PLANT).parse("device", device(protocol="formula"))
