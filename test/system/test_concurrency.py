"""Many clients at once, through HTTP, on one real system: one winner, and nothing left of what was deleted."""

from __future__ import annotations

import asyncio

import pytest

from test.system.rig import eventually

DEVICE = {"id": "d", "name": "d", "protocol": "modbus_tcp", "enabled": False}


async def statuses(requests):
    return sorted(answer.status for answer in await asyncio.gather(*requests))


def left(rig, *ids):
    """Keys that belong to a device or one of its terms, and values in which they are listed."""
    found = []
    with rig.store() as client:
        for name in client.keys("*"):
            if name.startswith(("STREAM:", "COMMAND:", "WRITER:", "IDEMPOTENCY:")):
                continue  # the log, the audit trail and the data stream tell what was
            parts = name.split(":")
            kind = client.type(name)
            members = client.smembers(name) if kind == "set" else client.hkeys(name) if kind == "hash" else ()
            if set(parts) & set(ids) or {part for one in members for part in one.split(":")} & set(ids):
                found.append(name)
    return found


async def test_of_twenty_clients_one_creates_the_device(rig):
    api = await rig.api("--no-manager")
    clients = [rig.client(api.client.url) for _ in range(20)]
    got = await statuses(
        client.request("POST", "/api/v1/devices", {**DEVICE, "name": f"by {n}"})
        for n, client in enumerate(clients)
    )
    assert got == [201] + [409] * 19
    assert await api.client.get("/api/v1/devices") == ["d"]


async def test_two_api_servers_on_one_store_agree(rig):
    one = await rig.api("--no-manager")
    two = await rig.api("--no-manager", "--redis", rig.store_url(), data_dir=rig.folder / "other")
    for number in range(10):
        body = {**DEVICE, "id": f"d{number}"}
        got = await statuses(api.client.request("POST", "/api/v1/devices", body) for api in (one, two) * 5)
        assert got == [201] + [409] * 9

    async def same():
        return await one.client.get("/api/v1/devices?expand=true") == await two.client.get(
            "/api/v1/devices?expand=true"
        )

    await eventually(same, "both show the same")
    assert len(await two.client.get("/api/v1/devices")) == 10


async def test_a_rename_racing_a_delete_leaves_nothing_behind(rig, plc):
    api = await rig.api()
    await api.client.ready()
    clients = [rig.client(api.client.url) for _ in range(4)]
    for turn in range(8):
        await api.client.add(port=plc.port)
        await api.client.shows(0)
        renamed = {"id": "new", "name": "d", "protocol": "modbus_tcp", "port": plc.port, "poll_interval": 0.02}
        requests = [
            clients[0].request("PUT", "/api/v1/devices/d", renamed),
            clients[1].request("DELETE", "/api/v1/devices/d"),
            clients[2].request("PATCH", "/api/v1/terms/dt", {"name": "other"}),
            clients[3].request("DELETE", "/api/v1/devices/new"),
        ]
        answers = await asyncio.gather(*(requests if turn % 2 else reversed(requests)))
        assert {answer.status for answer in answers} <= {200, 404}
        for device in await api.client.get("/api/v1/devices"):
            await api.client.send("DELETE", f"/api/v1/devices/{device}")
        await eventually(lambda: not left(rig, "d", "new", "dt"), "no key is left")
        await eventually(lambda: not plc.connections, "nobody polls")


@pytest.mark.parametrize("kind", ["devices", "terms"])
async def test_a_big_device_deleted_while_it_is_polled_leaves_nothing(rig, plc, kind):
    plc.rotate()
    api = await rig.api()
    await api.client.ready()
    await api.client.add(port=plc.port, points={f"i{n}": f"hr:{n}" for n in range(2000)}, poll_interval=0)
    await api.client.add("other", port=plc.port)

    async def polled():
        return (await api.client.samples()).get("stored", 0) > 20_000

    await eventually(polled, "it is polled at full rate")
    deleted = await api.client.send("DELETE", f"/api/v1/{kind}/{'d' if kind == 'devices' else 'dt'}")
    counts = {"terms": 1, "term_items": 2000}
    assert deleted == {"deleted": counts | ({"devices": 1} if kind == "devices" else {})}
    ids = ["d", "dt"] if kind == "devices" else ["dt"]
    await eventually(lambda: not left(rig, *ids), "no key is left")
    # and none comes back, while others are polled
    requests = plc.requests
    await eventually(lambda: plc.requests > requests + 20, "the other device is polled")
    assert not left(rig, *ids)
    for answer in (await api.client.call("i0"), await api.client.ctrl(1, "i0")):
        assert answer.status == 404
    assert (await api.client.call("i", "other")).status == 200


async def test_reads_and_writes_of_many_clients_while_the_model_changes(rig, plc):
    api = await rig.api()
    await api.client.add(port=plc.port, points={f"i{n}": f"hr:{n}" for n in range(20)})
    await api.client.shows(0, "i19")
    clients = [rig.client(api.client.url) for _ in range(8)]

    async def control(number):
        return [await clients[number].ctrl(value, f"i{number}") for value in range(1, 20)]

    async def change():
        return [
            await api.client.request("PATCH", f"/api/v1/terms/dt/items/i{8 + n % 12}", {"base_val": n})
            for n in range(20)
        ]

    answers = await asyncio.gather(*(control(n) for n in range(8)), change())
    assert {answer.status for group in answers for answer in group} == {200}
    for number in range(8):
        await api.client.shows(19, f"i{number}")
    # each client's writes arrived in its order, each once
    written = [(r.address, r.pdu[-1]) for r in plc.received if r.function == 6]
    for number in range(8):
        assert [value for address, value in written if address == number] == list(range(1, 20))
