"""``GET /api/v2/plugins``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from pydatacoll.api.access import Access
from pydatacoll.api.app import create_app
from pydatacoll.errors import Conflict
from pydatacoll.settings import AuthSettings, Settings, TokenSettings
from pydatacoll.store.overview import GroupState
from pydatacoll.store.plugin_forget import Held
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


class Places:
    """Plugins that have a place in the stream."""

    def __init__(self, refusal: Exception | None = None, late: Exception | None = None) -> None:
        self.refusal, self.late = refusal, late
        self.forgotten: list[str] = []

    async def unused(self, name: str) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def forget(self, name: str) -> Held:
        if self.late is not None:
            raise self.late
        self.forgotten.append(name)
        return Held(samples=12, entries=3)


def with_places(backend: FakeBackend, places: Places, **more: Any) -> Any:
    return changed(backend, plugin_unused=places.unused, plugin_forget=places.forget, **more)


async def test_forgetting_a_plugin_is_audited_before_and_after(backend: FakeBackend) -> None:
    places = Places()
    async with serve(with_places(backend, places)) as api:
        answer = await api("DELETE", "/api/v2/plugins/old")
    assert answer.json == {"released": {"samples": 12, "entries": 3}}
    assert places.forgotten == ["old"]
    intention, result = backend.entries
    assert (intention["action"], intention["object"], intention["result"]) == ("plugin.forget", "old", None)
    assert (result["action"], result["result"], result["after"]) == ("plugin.forget", "ok", answer.json)


async def test_a_plugin_that_is_enabled_or_in_use_is_not_forgotten(backend: FakeBackend) -> None:
    in_use = Places(refusal=Conflict("plugin old is in use"))
    async with serve(with_places(backend, in_use)) as api:
        await api("DELETE", "/api/v2/plugins/new", status=409)
        await api("DELETE", "/api/v2/plugins/old", status=409)
    assert in_use.forgotten == backend.entries == []
    started = Places(late=Conflict("plugin old was started meanwhile"))
    async with serve(with_places(backend, started)) as api:
        await api("DELETE", "/api/v2/plugins/old", status=409)
    assert backend.entries[-1]["result"] == "409 plugin old was started meanwhile"


async def test_an_unknown_plugin_cannot_be_forgotten(backend: FakeBackend) -> None:
    async with serve(changed(backend)) as api:
        answer = await api("DELETE", "/api/v2/plugins/unknown", status=404)
    assert answer.json["detail"].startswith("plugin not found! unknown")


async def test_only_an_administrator_of_all_devices_forgets_plugins(backend: FakeBackend) -> None:
    tokens = [
        TokenSettings(name="o", hash=sha256(b"operator").hexdigest(), scope="operate"),
        TokenSettings(name="n", hash=sha256(b"north").hexdigest(), scope="admin", devices=["n*"]),
        TokenSettings(name="a", hash=sha256(b"all").hexdigest(), scope="admin"),
    ]
    settings, places = Settings(auth=AuthSettings(tokens=tokens)), Places()
    async with serve(with_places(backend, places, settings=settings, access=Access(settings.auth))) as api:
        for secret, status in (("operator", 403), ("north", 403), ("all", 200)):
            await api(
                "DELETE", "/api/v2/plugins/old", headers={"Authorization": f"Bearer {secret}"}, status=status
            )
    assert places.forgotten == ["old"]
