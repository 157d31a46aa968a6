"""Checks at configuration time: every message names the field and what to do."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.errors import Invalid
from pydatacoll.model.validation import Schemas
from pydatacoll.protocols.iec104 import Iec104Driver
from pydatacoll.protocols.iec104.checks import check, check_device, hosts
from pydatacoll.protocols.iec104.config import Iec104Device, Iec104Term, Iec104TermItem, resolve
from pydatacoll.protocols.iec104.types import TYPES

TERM = Iec104Term(id="t", name="t", device_id="d", address=7)


def device(**options: Any) -> Iec104Device:
    return msgspec.convert({"id": "d", "name": "d", "protocol": "iec104", **options}, Iec104Device)


def item(code_type: str | None = None, **options: Any) -> Iec104TermItem:
    fields = {"term_id": "t", "item_id": "i", "protocol_code": "6001", "code_type": code_type, **options}
    return msgspec.convert({name: value for name, value in fields.items() if value is not None}, Iec104TermItem)


def errors(point: Iec104TermItem, **options: Any) -> dict[str, str]:
    return dict(check(device(**options), TERM, point))


@pytest.mark.parametrize("code", ["0", "16777216", "-1", "1.5", "0x10", "hr:1", "", " 5", "٥", "1 2"])
def test_addresses_that_are_none(code: str) -> None:
    assert "1 to 16777215" in errors(item(protocol_code=code))["protocol_code"]


@pytest.mark.parametrize("code", ["1", "16777215", "04001"])
def test_addresses(code: str) -> None:
    assert errors(item(protocol_code=code)) == {}


@pytest.mark.parametrize(
    ("point", "field", "text"),
    [
        (item("M_ME_XX_1"), "code_type", "such as 36 or M_ME_TF_1"),
        (item("200"), "code_type", "'200' is no type identification"),
        (item("C_IC_NA_1"), "code_type", "is not the type of a point"),
        (item("C_RD_NA_1"), "code_type", "is not the type of a point"),
        (item("M_EI_NA_1"), "code_type", "is not the type of a point"),
        (item("P_ME_NA_1"), "code_type", "is not the type of a point"),
        (item("F_FR_NA_1"), "code_type", "is not the type of a point"),
        (item("C_SC_NA_1"), "writable", "set writable"),
        (item("M_IT_TB_1", writable=True), "writable", "M_IT_TB_1 has no command"),
        (item("M_EP_TD_1", writable=True), "writable", "leave writable out"),
        (item("M_PS_NA_1", writable=True), "writable", "has no command"),
        (item(writable=True), "writable", "code_type or its command_type must be set"),
        (item(protocol_code=None), "", ""),
        (item("M_SP_NA_1", command_type="C_XX"), "command_type", "is no type identification"),
        (item("M_SP_NA_1", command_type="C_CS_NA_1"), "command_type", "is no command that a point can have"),
        (item(writable=True, command_type="M_SP_NA_1"), "command_type", "is no command"),
        (item("M_SP_NA_1", command_type="C_DC_NA_1"), "command_type", "only C_SC_NA_1 and its like do"),
        (item("M_IT_NA_1", command_type="C_SE_NB_1"), "command_type", "no command does"),
        (item("45", command_type="46", writable=True), "command_type", "the command already"),
        (item("M_SP_NA_1", writable=True, qualifier=32), "qualifier", "0 to 31"),
        (item("C_BO_NA_1", writable=True, qualifier=1), "qualifier", "no qualifier"),
        (item("M_BO_NA_1", writable=True, command_mode="select"), "command_mode", "direct"),
        (item("M_SP_NA_1", coefficient=2), "coefficient", "no quantity"),
        (item("M_DP_TB_1", base_val=1), "coefficient", "leave coefficient and base_val out"),
        (item("M_ST_NA_1", coefficient=0.5), "coefficient", "no quantity"),
        (item("M_BO_NA_1", coefficient=2), "coefficient", "no quantity"),
        (item("C_DC_NA_1", writable=True, coefficient=2), "coefficient", "no quantity"),
        (item(writable=True, command_type="C_SC_NA_1", base_val=1), "coefficient", "no quantity"),
        (item("M_ME_NC_1", coefficient=0, writable=True), "coefficient", "other than 0"),
    ],
)
def test_what_is_refused(point: Iec104TermItem, field: str, text: str) -> None:
    found = errors(point)
    if not field:
        assert found == {}
    else:
        assert text in found[field]


def test_a_writable_point_needs_an_address() -> None:
    point = msgspec.structs.replace(item("45", writable=True), protocol_code=None)
    assert "needs an information object address" in errors(point)["protocol_code"]


@pytest.mark.parametrize(
    "point",
    [
        item(),
        item("M_IT_TB_1", coefficient=0.1),
        item("M_SP_TB_1", writable=True, qualifier=31, command_mode="select"),
        item("M_SP_TB_1", writable=True, command_type="C_SC_TA_1", command_address=9001),
        item("M_ME_TF_1", writable=True, qualifier=127, coefficient=0.1, base_val=-40),
        item("m_me_nd_1", writable=True),
        item("C_BO_NA_1", writable=True),
        item("50", writable=True, coefficient=2),
        item("C_SC_NA_1", writable=True, command_type="45"),
        item(writable=True, command_type="C_SE_NB_1", coefficient=0.1),
        item(coefficient=0.1),
    ],
)
def test_what_is_accepted(point: Iec104TermItem) -> None:
    assert errors(point) == {}


def test_the_mode_of_the_device_cannot_select_a_bitstring() -> None:
    point = item("C_BO_NA_1", writable=True)
    assert "set command_mode of the point to direct" in errors(point, command_mode="select")["command_mode"]
    assert errors(item("C_BO_NA_1", writable=True, command_mode="direct"), command_mode="select") == {}


@given(
    st.builds(
        item,
        st.one_of(st.none(), st.sampled_from([str(number) for number in [*TYPES, 0, 200]])),
        protocol_code=st.one_of(st.none(), st.text(max_size=4), st.just("1")),
        command_type=st.one_of(st.none(), st.sampled_from([str(number) for number in TYPES])),
        writable=st.booleans(),
        qualifier=st.integers(0, 127),
        coefficient=st.sampled_from([1.0, 0.0, 2.0]),
    )
)
def test_what_passes_can_be_resolved(point: Iec104TermItem) -> None:
    if not errors(point) and point.protocol_code is not None:
        target = resolve(device(), TERM, point)
        assert target.monitored or target.command is not None
        assert not point.writable or target.command is not None


def device_errors(**options: Any) -> dict[str, str]:
    return dict(check_device(device(**options)))


@pytest.mark.parametrize(
    ("options", "field", "text"),
    [
        ({"t2": 15.0}, "t2", "not below t1"),
        ({"time_zone": "Europe/Nowhere"}, "time_zone", "nor a known time zone"),
        ({"time_zone": "+25:00"}, "time_zone", "no offset"),
        ({"clock_sync": -1.0}, "clock_sync", "from 1 to 31622400"),
        ({"clock_sync": 0.5}, "clock_sync", "true, false or a number"),
        ({"clock_sync": 86_400.0 * 367}, "clock_sync", "31622400"),
        ({"redundant": "10.0.0.6:0"}, "redundant", "such as 10.0.0.6:2404"),
        ({"redundant": "fd00::1"}, "redundant", "such as 10.0.0.6:2404"),
        ({"redundant": "a b"}, "redundant", "neither an address nor a host name"),
        ({"redundant": "127.0.0.1"}, "redundant", "same place"),
        ({"redundant": "127.0.0.1:2405", "port": 2405}, "redundant", "same place"),
        ({"ip": "fd00::1", "redundant": "[FD00:0::1]:2404"}, "redundant", "same place"),
        ({"ip": "rtu.example", "redundant": "RTU.example"}, "redundant", "same place"),
        ({"tls_ca": "ca.pem"}, "tls_ca", "set tls"),
        ({"tls": True, "tls_key": "key.pem"}, "tls_certificate", "needs its certificate"),
        ({"tls": True, "tls_ca": "/etc/passwd"}, "tls_ca", "in the folder of certificates"),
        ({"tls": True, "tls_certificate": "../own.pem"}, "tls_certificate", "without .."),
        ({"tls": True, "tls_certificate": "a\\b.pem"}, "tls_certificate", "folder"),
        ({"tls": True, "tls_certificate": "C:own.pem"}, "tls_certificate", "folder"),
        ({"tls": True, "tls_certificate": "a\0b"}, "tls_certificate", "folder"),
        ({"tls": True, "tls_name": "a b"}, "tls_name", "host name"),
        ({"backend": "c104", "tls": True}, "tls", 'set backend to "native"'),
        ({"backend": "c104", "redundant": "10.0.0.6"}, "redundant", "no redundancy group"),
        ({"backend": "c104", "time_zone": "Europe/Vienna"}, "clock_sync", "sets clocks to UTC only"),
        ({"backend": "c104", "time_zone": "+01:00", "clock_sync": 60}, "clock_sync", "or clock_sync to false"),
    ],
)
def test_devices_that_are_refused(options: dict[str, Any], field: str, text: str) -> None:
    assert text in device_errors(**options)[field]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"k": 12, "w": 12},  # not recommended, but no error
        {"clock_sync": False},
        {"clock_sync": 0},
        {"clock_sync": 60.0},
        {"time_zone": "Europe/Vienna"},
        {"time_zone": "-03:30"},
        {"redundant": "127.0.0.1:2405"},
        {"redundant": "[fd00::6]:2404"},
        {"redundant": "rtu-b.example"},
        {"tls": True, "tls_ca": "station/ca.pem", "tls_certificate": "own.pem", "tls_name": "rtu.example"},
        {"backend": "c104", "ip": "fd00::1", "time_zone": "+00:00"},
        {"backend": "c104", "ip": "rtu.example", "time_zone": "Europe/Vienna", "clock_sync": False},
    ],
)
def test_devices_that_are_accepted(options: dict[str, Any]) -> None:
    assert device_errors(**options) == {}


def test_hosts_are_both_places() -> None:
    assert hosts(device(ip="10.0.0.5")) == [("ip", "10.0.0.5")]
    assert hosts(device(ip="10.0.0.5", redundant="[fd00::6]:99")) == [("ip", "10.0.0.5"), ("redundant", "fd00::6")]


@pytest.mark.parametrize("address", [0, 65535, -1])
def test_common_addresses_that_are_none(address: int) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"id": "t", "name": "t", "device_id": "d", "address": address}, Iec104Term)


def test_the_model_names_every_bad_field_of_a_device() -> None:
    schemas = Schemas({"iec104": Iec104Driver})
    with pytest.raises(Invalid) as caught:
        schemas.parse(
            "device", {"id": "d", "name": "d", "protocol": "iec104", "t2": 20, "time_zone": "x", "tls_ca": "a"}
        )
    assert {error.field for error in caught.value.errors} == {"t2", "time_zone", "tls_ca"}
    with pytest.raises(Invalid) as caught:
        schemas.parse("device", {"id": "d", "name": "d", "protocol": "iec104", "redundant": "0177.0.0.1"})
    assert [error.field for error in caught.value.errors] == ["redundant"]


def test_a_stored_point_that_is_bad_does_not_stop_the_model() -> None:
    schemas = Schemas({"iec104": Iec104Driver})
    bad = item("200", protocol_code="0")
    assert schemas.address(device(), TERM, bad) is None
    assert [error.field for error in schemas.check(device(), TERM, bad)] == ["protocol_code", "code_type"]
