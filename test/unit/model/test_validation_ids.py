"""Ids and addresses that cannot be used are refused where they are configured."""

import pytest

from pydatacoll.errors import Invalid
from pydatacoll.model.validation import Schemas
from pydatacoll.protocols.formula import FormulaDriver


def device(**fields):
    return Schemas({"formula": FormulaDriver}).parse(
        "device", {"id": "d", "name": "d", "protocol": "formula", **fields}
    )


@pytest.mark.parametrize("bad", [".", "..", "", "a b", "a:b", "x" * 65])
def test_ids_that_no_url_can_name(bad):
    with pytest.raises(Invalid, match="id: must be"):
        device(id=bad)


@pytest.mark.parametrize("good", ["...", ".a", "a.", "-", "x" * 64])
def test_ids_with_dots(good):
    assert device(id=good).id == good


@pytest.mark.parametrize("bad", ["", "http://10.0.0.1:502", "10.0.0.1/24", "a b", "-x", "x" * 254])
def test_what_is_no_address(bad):
    with pytest.raises(Invalid, match="ip: must be an IP address or a host name"):
        device(ip=bad)


@pytest.mark.parametrize("good", ["10.0.0.1", "::1", "fe80::1%eth0", "plc-7.plant.example", "plc_7"])
def test_addresses(good):
    assert device(ip=good).ip == good
