"""Live push of values, over real sockets and a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pydatacoll.live import values as live_values
from pydatacoll.store.client import Store
from test.integration.live_rig import LiveRig, live_rig


@pytest.fixture
async def rig(store: Store) -> AsyncIterator[LiveRig]:
    async with live_rig(store) as made:
        yield made


async def test_a_subscriber_gets_what_is_there_and_then_what_changes(rig: LiveRig) -> None:
    await rig.plant(items=["a", "b"])
    await rig.put(a=1, b="on")
    async with rig.socket() as socket:
        snapshot = await socket.sub()
        assert (snapshot["resumed"], snapshot["points"], snapshot["epoch"]) == (False, 2, socket.hello["epoch"])
        assert sorted(snapshot["c"]) == [
            ["d:d-t:a", "2027-01-15T08:00:01.000000Z", 1, "good"],
            ["d:d-t:b", "2027-01-15T08:00:01.000000Z", "on", "good"],
        ]
        await rig.put(a=2)
        message = await socket.get()
        assert message["c"] == [["d:d-t:a", "2027-01-15T08:00:02.000000Z", 2, "good"]]
        assert message["id"] == "s"
        assert message["seq"] > snapshot["seq"]


async def test_rows_are_as_in_the_list_of_values(rig: LiveRig) -> None:
    await rig.plant(items=["a"])
    await rig.put(a=230.1)
    (value,) = await rig.api.get("/api/v2/values")
    async with rig.socket() as socket:
        (row,) = (await socket.sub())["c"]
    assert row == ["d:d-t:a", value["time"], value["value"], value["quality"]]


async def test_somebody_who_has_nothing_to_tell_hears_that_the_server_is_alive(rig: LiveRig) -> None:
    async with rig.socket() as socket:
        assert [(await socket.any())["op"] for _ in range(3)] == ["alive"] * 3


@pytest.mark.parametrize("limit", ["BEHIND", "SUSPENDED"])
async def test_what_was_left_out_of_the_stream_is_made_up_for_by_the_latest_values(
    rig: LiveRig, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """As if this process could not keep pace with the stream, or had been stopped for long, all the time."""
    monkeypatch.setattr(live_values, "AT_ONCE", 1)
    monkeypatch.setattr(live_values, limit, -1)
    items = [f"i{n}" for n in range(20)]
    await rig.plant(items=items)
    async with rig.socket() as socket:
        await socket.sub(rate=0)
        for number in range(10):
            await rig.put(**dict.fromkeys(items, number))
        await rig.put(i0=10)
        await socket.values(until={f"d:d-t:{item}": 9 for item in items[1:]} | {"d:d-t:i0": 10})
