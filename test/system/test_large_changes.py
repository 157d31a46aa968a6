"""Large changes of the model and data of other releases, as an operator sees it."""

from __future__ import annotations

import asyncio
import random

import pytest

from pydatacoll.store import keys
from pydatacoll.store.migrations import MIGRATIONS, newest

TERMS, ITEMS = 20, 100


async def plant(client):
    devices = [{"id": "d", "name": "d", "protocol": "modbus_tcp", "ip": "127.0.0.1", "enabled": False}]
    await client.send("POST", "/api/v2/devices", devices)
    terms = [{"id": f"t{n}", "name": "t", "device_id": "d", "address": n + 1} for n in range(TERMS)]
    await client.send("POST", "/api/v2/terms", terms)
    await client.send("POST", "/api/v2/items", [{"id": f"i{n}", "name": "i"} for n in range(ITEMS)])


def points(coefficient):
    return [
        {"term_id": f"t{t}", "item_id": f"i{i}", "protocol_code": f"hr:{i}", "coefficient": coefficient}
        for t in range(TERMS)
        for i in range(ITEMS)
    ]


async def coefficients(client):
    rows = [row for t in range(TERMS) for row in await client.get(f"/api/v1/terms/t{t}/items?expand=true")]
    return [row["coefficient"] for row in rows]


async def test_a_batch_is_there_wholly_or_not_at_all_after_a_kill(rig):
    api = await rig.api("--no-manager")
    await plant(api.client)
    await api.client.send("POST", "/api/v2/term_items", points(1))
    present = 1
    for coefficient in range(2, 8):
        asked = asyncio.create_task(api.client.request("POST", "/api/v2/term_items", points(coefficient)))
        await asyncio.sleep(random.uniform(0, 0.4))  # a moment of the test's choice, not a wait
        await api.kill()
        (outcome,) = await asyncio.gather(asked, return_exceptions=True)
        api = await rig.api("--no-manager")
        found = await coefficients(api.client)
        assert len(found) == TERMS * ITEMS
        assert set(found) <= {present, coefficient}
        assert len(set(found)) == 1
        if not isinstance(outcome, Exception) and outcome.status == 200:
            assert found[0] == coefficient  # it was acknowledged
        present = found[0]
        assert not rig.store().exists(keys.MODEL_PENDING)


async def test_others_are_answered_while_a_large_batch_is_written(rig):
    api = await rig.api("--no-manager")
    await plant(api.client)
    asked = asyncio.create_task(api.client.send("POST", "/api/v2/term_items", points(1)))
    answered = 0
    while not asked.done():
        found = await api.client.get("/api/v1/terms/t19/items")
        assert len(found) in {0, ITEMS}
        answered += 1
    assert (await asked)["created"] == TERMS * ITEMS
    assert answered > 1
    assert len(await api.client.get("/api/v1/terms/t19/items")) == ITEMS


@pytest.mark.parametrize("module", ["api_server", "device_manager", "plugin_runner"])
async def test_data_of_a_newer_release_is_refused(rig, module):
    server = rig.redis()
    await server.start()
    server.client().set(keys.LAYOUT, newest(MIGRATIONS) + 1)
    name = ["no_such_plugin"] if module == "plugin_runner" else []
    process = rig.launch(module, *name, "--redis", server.url, "--data-dir", str(rig.data_dir))
    process.expected_code = 1
    assert await process.ended(within=20) == 1
    assert f"has layout {newest(MIGRATIONS) + 1}, this release knows layouts up to" in process.log
    assert "restore the backup" in process.log
    assert server.client().keys() == [keys.LAYOUT]
