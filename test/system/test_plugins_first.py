"""A plugin that is enabled on a system with devices: it has what is read first, too."""

from __future__ import annotations

from pydatacoll.testing.iec104_points import Iec104Point
from pydatacoll.testing.iec104_rtu import Iec104Rtu
from test.system.rig import eventually


async def test_the_archive_has_the_value_that_a_switch_had_when_it_began(rig):
    async with Iec104Rtu([Iec104Point(address=100, type="M_SP_NA_1", value=True)]) as rtu:
        service = await rig.api()
        client = service.client
        place = {"ip": "127.0.0.1", "port": rtu.port}
        await client.send("POST", "/api/v1/devices", {"id": "rtu", "name": "RTU", "protocol": "iec104", **place})
        await client.send("POST", "/api/v1/terms", {"id": "bay", "name": "bay", "device_id": "rtu"})
        await client.send("POST", "/api/v1/items", {"id": "switch", "name": "switch"})
        point = {"term_id": "bay", "item_id": "switch", "protocol_code": "100", "code_type": "M_SP_NA_1"}
        await client.send("POST", "/api/v2/term_items", [point])
        await client.shows(True, "switch", "rtu")
        await service.stop()

        client = (await rig.api("--plugins", "db_saver")).client

        async def archived():
            answer = await client.request("GET", "/api/v2/history?device_id=rtu&term_id=bay&item_id=switch")
            return answer.status == 200 and [row["value"] for row in answer.body if row["quality"] == "good"]

        assert await eventually(archived, "the archive has a value") == [True]
