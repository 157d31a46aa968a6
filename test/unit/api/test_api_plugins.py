"""``GET /api/v2/plugins``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from pydatacoll.api.access import Access
from pydatacoll.api.app import create_app
from pydatacoll.settings import AuthSettings, Settings, TokenSettings
from pydatacoll.store.overview import GroupState
from pydatacoll.store.plugin_overview import PluginOverview
from pydatacoll.store.plugin_reports import PluginReport
from test.api_client import serve
from test.fakes_api import FakeBackend

REPORT = PluginReport(
    reported=1.5, host="h", pid=7, state="failing", partitions=[0, 2], handled=5, retries=1, dead_lettered=0,
    last_error="ValueError: feeder1", last_error_time=1.0, longest_step=0.1, description="archives",
    counters={"rows": 3}, status={"feeder1": "late"},
)  # fmt: skip
GROUP = GroupState(lag=3, dropped=2, samples=30, oldest=90.0, handled=100, dead_lettered=4, retries=6)


async def plugins(enabled: Sequence[str]) -> Sequence[PluginOverview]:
    assert enabled == ["db_saver", "new"]
    return [
        PluginOverview("db_saver", "failing", GROUP, 10.0, {"r1": REPORT}),
        PluginOverview("new", "stopped", GroupState(), 0.0),
    ]


def changed(backend: FakeBackend, **more: Any) -> Any:
    return create_app(
        replace(backend.services, plugins=plugins, plugins_enabled=frozenset({"new", "db_saver"}), **more)
    )


async def test_plugins_of_all_processes_are_listed(backend: FakeBackend) -> None:
    async with serve(changed(backend)) as api:
        one, other = await api.get("/api/v2/plugins")
    runner = one.pop("runners")[0]
    assert one == {
        "name": "db_saver", "description": "archives", "enabled": True, "state": "failing", "behind": 10.0,
        "lag": 30, "lag_entries": 3, "handled": 100, "retries": 6, "dead_lettered": 4, "dropped": 2,
    }  # fmt: skip
    assert runner == {
        "runner": "r1", "host": "h", "pid": 7, "state": "failing", "reported": "1970-01-01T00:00:01.500000Z",
        "partitions": [0, 2], "handled": 5, "retries": 1, "dead_lettered": 0, "longest_step": 0.1,
        "last_error": "ValueError: feeder1", "last_error_time": "1970-01-01T00:00:01.000000Z",
        "counters": {"rows": 3}, "status": {"feeder1": "late"},
    }  # fmt: skip
    assert (other["state"], other["runners"]) == ("stopped", [])


async def test_a_limited_token_does_not_see_what_may_be_of_other_devices(backend: FakeBackend) -> None:
    token = TokenSettings(name="north", hash=sha256(b"secret").hexdigest(), scope="read", devices=["n*"])
    settings = Settings(auth=AuthSettings(tokens=[token]))
    async with serve(changed(backend, settings=settings, access=Access(settings.auth))) as api:
        await api("GET", "/api/v2/plugins", status=401)
        answer = await api("GET", "/api/v2/plugins", headers={"Authorization": "Bearer secret"})
    assert answer.json[0]["runners"][0]["handled"] == 5
    assert "feeder1" not in answer.raw.decode()
