"""What a station sends that it should not."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from pydatacoll.protocols.iec104.asdu import Asdu, InformationObject, decode, encode
from pydatacoll.protocols.iec104.control import Interrogation
from pydatacoll.protocols.iec104.elements import Scaled
from pydatacoll.protocols.iec104.errors import RemoteProtocolError
from pydatacoll.protocols.iec104.irregularities import Irregularities


@pytest.fixture
def counters():
    return Counter()


@pytest.fixture
def irregularities(counters):
    return Irregularities(counters, lambda: 0.0)


def refused(data: bytes) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(data)
    return caught.value


def test_an_asdu_that_is_refused_is_kept_with_its_octets(irregularities, counters):
    irregularities.refused(refused(bytes.fromhex("0b 01 03 00 01 00 05 00 00 0a")))
    irregularities.refused(refused(bytes.fromhex("c8 01 03 00 01 00 05 00 00 0a")))
    status = irregularities.status()
    assert counters == {"protocol_errors": 1, "unknown_types": 1}
    assert status["unknown_types"] == {"type 200 (private)": 1}
    assert status["last_error"]["frame"] == "c8 01 03 00 01 00 05 00 00 0a"
    assert "200" in status["last_error"]["reason"]
    assert status["last_error"]["time"] == "1970-01-01T00:00:00.000000Z"
    json.dumps(status)


def test_a_deviation_is_named_once_for_each_link(irregularities):
    data = bytearray(encode(Asdu(11, 3, 1, (InformationObject(5, Scaled(1)),))))
    data[2] = 50  # a private cause is none
    irregularities.look(bytes(data))
    assert irregularities.status()["deviations"] == {}
    data[2] = 17
    for _ in range(3):
        irregularities.look(bytes(data))
    assert irregularities.status()["deviations"] == {"M_ME_NB_1 (11): cause 17 is reserved": 1}
    irregularities.connected()
    irregularities.look(bytes(data))
    assert irregularities.status()["deviations"] == {"M_ME_NB_1 (11): cause 17 is reserved": 2}


@pytest.mark.parametrize(
    ("common", "stations", "named"),
    [(7, {1, 2}, True), (1, {1, 2}, False), (0xFFFF, {1}, False), (7, set(), False)],
)
def test_an_answer_from_a_common_address_that_is_none_of_the_device_names_it(
    irregularities, common, stations, named
):
    irregularities.unexpected(Asdu(100, 7, common, (InformationObject(0, Interrogation()),)), stations)
    where = " from common address 7, which no term of the device has" if named else ""
    assert irregularities.status()["unexpected"] == {f"C_IC_NA_1 (100), activation confirmation{where}": 1}


def test_kinds_are_bounded(irregularities, counters):
    for number in range(1000):
        cause = number % 63 + 1
        irregularities.unexpected(Asdu(100 + number % 2, cause, 1, (InformationObject(0, Interrogation()),)), [1])
    unexpected = irregularities.status()["unexpected"]
    assert len(unexpected) <= 65
    assert sum(unexpected.values()) == counters["unexpected_asdus"] == 1000
