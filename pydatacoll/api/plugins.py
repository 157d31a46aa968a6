"""``GET /api/v2/plugins``: what plugins do, in whatever process they run."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from pydatacoll.api import responses
from pydatacoll.api.operation import Answer, Call, Operation, array, ref
from pydatacoll.model import time_to_wire
from pydatacoll.store.plugin_overview import PluginOverview
from pydatacoll.store.plugin_reports import PluginReport


async def list_plugins(call: Call) -> web.StreamResponse:
    """All plugins. What they tell of single devices is not for a token that is limited to some."""
    services = call.services
    enabled = services.plugins_enabled
    found = await services.plugins(sorted(enabled))
    return responses.of([_view(one, one.name in enabled, whole=not call.identity.devices) for one in found])


def _view(one: PluginOverview, enabled: bool, *, whole: bool) -> dict[str, Any]:
    progress = one.progress
    return {
        "name": one.name,
        "description": next((said.description for said in one.runners.values()), ""),
        "enabled": enabled,
        "state": one.state,
        "behind": round(one.behind, 3),
        "lag": progress.samples,
        "lag_entries": progress.lag,
        "handled": progress.handled,
        "retries": progress.retries,
        "dead_lettered": progress.dead_lettered,
        "dropped": progress.dropped,
        "runners": [_runner(runner, said, whole=whole) for runner, said in sorted(one.runners.items())],
    }


def _runner(runner: str, said: PluginReport, *, whole: bool) -> dict[str, Any]:
    view: dict[str, Any] = {
        "runner": runner,
        "host": said.host,
        "pid": said.pid,
        "state": said.state,
        "reported": time_to_wire(said.reported),
        "partitions": said.partitions,
        "handled": said.handled,
        "retries": said.retries,
        "dead_lettered": said.dead_lettered,
        "longest_step": said.longest_step,
    }
    if whole:
        error_time = said.last_error_time
        view |= {
            "last_error": said.last_error,
            "last_error_time": None if error_time is None else time_to_wire(error_time),
            "counters": said.counters,
            "status": said.status,
        }
    return view


OPERATIONS = [
    Operation(
        id="list_plugins",
        method="GET",
        path="/api/v2/plugins",
        handler=list_plugins,
        summary="Plugins: whether they run, how far they are behind, what they could not handle",
        description=(
            "Plugins that are enabled here, and all that were ever run on this store, by any process. A token "
            "that is limited to some devices does not see errors, counters and details of plugins."
        ),
        tag="system",
        answers={200: Answer("plugins by name", array(ref("PluginView")))},
        errors=(503,),
    )
]
