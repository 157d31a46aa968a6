"""Whatever data units a station sends, the IEC 104 driver gives nothing but samples, and the link goes on."""

from __future__ import annotations

import asyncio
import json
import math
import random
from typing import Any

import pytest

from pydatacoll.errors import DeviceError
from pydatacoll.protocols.iec104.asdu import MAX_ASDU, encode
from pydatacoll.protocols.iec104.types import TYPES
from pydatacoll.sdk import Executed, Sample, WriteRequest
from pydatacoll.testing.iec104_rtu import Iec104Point, Iec104Rtu
from test.iec104_asdus import all_examples
from test.integration.iec104_rig import Rig, point

STATION = [
    Iec104Point(address=1, type="M_DP_NA_1", value=1, command=True, select=True),
    Iec104Point(address=2, type="M_ME_NC_1", command=True),
    Iec104Point(address=3, type="M_IT_NA_1", value=7),
]
EXAMPLES = [encode(asdu) for asdu in all_examples()]


def any_asdu(chance: random.Random) -> bytes:
    """Random octets, or a right ASDU of the station that has been tampered with."""
    if chance.random() < 0.2:
        return chance.randbytes(chance.randint(1, MAX_ASDU))
    data = bytearray(chance.choice(EXAMPLES))
    if chance.random() < 0.2:
        data[0] = chance.choice(list(TYPES))
    if chance.random() < 0.7:
        data[2] = chance.choice([3, 5, 7, 9, 10, 11, 20, 37, 44, 45, 46, 47, chance.randint(0, 255)])
    if chance.random() < 0.8:
        data[4:6] = (1).to_bytes(2, "little")
    if len(data) > 8 and chance.random() < 0.8:
        data[6:9] = chance.choice([0, 1, 2, 3]).to_bytes(3, "little")
    for _ in range(chance.choice([0, 0, 1, 3])):
        data[chance.randrange(len(data))] = chance.randint(0, 255)
    if chance.random() < 0.2:
        data = data[: chance.randint(1, len(data))]
    if chance.random() < 0.1:
        data += chance.randbytes(chance.randint(1, 20))
    return bytes(data[:MAX_ASDU])


@pytest.mark.parametrize("seed", range(8))
async def test_any_data_units(seed: int) -> None:
    chance = random.Random(seed)
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    points = [point(1, "M_DP_TB_1", writable=True), point(2, "M_ME_TF_1", writable=True), point(3, "M_IT_TB_1")]
    options = {"command_timeout": 0.2, "termination_timeout": 0.05, "interrogation_timeout": 0.2}
    async with Iec104Rtu(STATION) as rtu, Rig(rtu.port, points, **options) as rig:
        for _ in range(30):
            asking = [
                asyncio.create_task(rig.driver.read(points)),
                asyncio.create_task(rig.driver.write([WriteRequest(points[0], 2), WriteRequest(points[1], 1.5)])),
                asyncio.create_task(rig.driver.interrogate(20)),
            ]
            for _ in range(100):
                rtu.send(any_asdu(chance))
            for result in [one for batch in await asyncio.gather(*asking) for one in batch]:
                if isinstance(result, (Sample, Executed, DeviceError)):
                    continue
                assert result.term_id == "s1"
            json.dumps(rig.driver.status(), allow_nan=False)
        await rtu.until(lambda: not rtu.pending)
        rtu.set(1, 2, 77.5)
        await rig.until(lambda: 77.5 in rig.history(2))
        assert not rig.subscription.done()  # type: ignore[union-attr]
        assert rtu.accepted == 1
        assert failures == []
        assert rig.counters["protocol_errors"] > 50
        for _, sample in rig.sink.samples:
            assert sample.value is None or isinstance(sample.value, (bool, int, float))
            assert math.isfinite(sample.time)
