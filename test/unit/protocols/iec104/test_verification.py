"""Reading back what was written."""

from __future__ import annotations

import struct

import pytest

from pydatacoll.errors import DeviceOffline, DeviceRefused, DeviceTimeout
from pydatacoll.protocols.iec104 import Iec104Device, Iec104Term, Iec104TermItem, verification
from pydatacoll.protocols.iec104.config import resolve
from pydatacoll.protocols.iec104.verification import read_back, shows
from pydatacoll.sdk import Point, Sample
from pydatacoll.testing.fakes import FakeSink

DEVICE = Iec104Device(id="d", name="d", protocol="iec104")
TERM = Iec104Term(id="t", name="t", device_id="d")


def command(code_type: str):
    return resolve(DEVICE, TERM, Iec104TermItem(term_id="t", item_id="i", protocol_code="1", code_type=code_type))


@pytest.mark.parametrize(
    ("code_type", "wanted", "found", "same"),
    [
        ("M_SP_NA_1", True, True, True),
        ("M_SP_NA_1", True, False, False),
        ("M_SP_NA_1", True, 2, True),  # a double point moved by a single command
        ("M_SP_NA_1", False, 0, False),
        ("M_DP_NA_1", 2, 2, True),
        ("M_DP_NA_1", 2, 3, False),
        ("M_ST_NA_1", 2, 17, True),
        ("M_ME_NA_1", 0.5, 0.5 + 1 / 100_000, True),
        ("M_ME_NA_1", 0.5, 0.5 + 1 / 32_768, False),
        ("M_ME_NB_1", 5, 5, True),
        ("M_ME_NB_1", 5, 6, False),
        ("M_ME_NC_1", 0.1, struct.unpack("<f", struct.pack("<f", 0.1))[0], True),
        ("M_ME_NC_1", 1e-6, 0.0, False),
        ("M_ME_NC_1", 230.4, 230, True),  # shown as a scaled value
        ("M_BO_NA_1", 7, 7, True),
    ],
)
def test_whether_a_value_is_what_was_written(code_type, wanted, found, same):
    assert shows(command(code_type).command, wanted, found) is same


class Station:
    def __init__(self, *values) -> None:
        self.values = list(values)

    async def read(self, address, *, counter):
        value = self.values.pop(0) if len(self.values) > 1 else self.values[0]
        if isinstance(value, Exception):
            raise value
        return Sample(1.0, value)


async def verify(station: Station, sink: FakeSink | None = None) -> Sample:
    target = command("M_ME_NB_1")
    point = Point(TERM, Iec104TermItem(term_id="t", item_id="i", protocol_code="1"))
    return await read_back(station, sink or FakeSink(), point, target, 5)


async def test_a_station_may_take_a_moment():
    sink = FakeSink()
    assert (await verify(Station(3, 4, 5), sink)).value == 5
    assert [sample.value for _, sample in sink.samples] == [3, 4]  # read, so not lost


async def test_another_value_is_told(monkeypatch):
    monkeypatch.setattr(verification, "PATIENCE", 0.05)
    with pytest.raises(DeviceRefused, match=r"wrote 5 .* read back 3"):
        await verify(Station(3))


@pytest.mark.parametrize("error", [DeviceRefused("no"), DeviceTimeout("silent"), DeviceOffline("lost")])
async def test_what_cannot_be_read_back_was_written_all_the_same(error):
    with pytest.raises((DeviceRefused, DeviceTimeout), match=r"^written, but"):
        await verify(Station(error))
