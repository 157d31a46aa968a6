"""``/api/v2/plugins``: what plugins do, in whatever process they run; and the end of those that are not used."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from pydatacoll.api import responses
from pydatacoll.api.operation import Answer, Call, Operation, array, ref
from pydatacoll.api.problems import ApiProblem
from pydatacoll.errors import Conflict
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


async def forget_plugin(call: Call) -> web.StreamResponse:
    """Let go of what is held for a plugin. The entry in the audit trail comes first, or nothing happens.

    :raises ApiProblem: 403 for a token that is limited to some devices: samples of all are held.
    :raises Conflict: the plugin is in use.
    """
    name, services = call.path["plugin"], call.services
    if call.identity.devices:
        text = f"the access token {call.identity.name!r} is for some devices; a plugin has samples of all"
        raise ApiProblem("forbidden", text)
    if name in services.plugins_enabled:
        raise Conflict(f"plugin {name} is enabled here: take it out of the setting plugins first")
    await services.plugin_unused(name)
    entry = call.entry("plugin.forget", name)
    await services.audit.write([{**entry, "result": None}])
    try:
        held = await services.plugin_forget(name)
    except Conflict as problem:  # it was started in this moment
        await services.audit.write([{**entry, "result": f"409 {problem}"}])
        raise
    given_up = {"samples": held.samples, "entries": held.entries}
    await services.audit.write([{**entry, "after": {"released": given_up}}])
    return responses.of({"released": given_up})


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
    ),
    Operation(
        id="forget_plugin",
        method="DELETE",
        path="/api/v2/plugins/{plugin}",
        handler=forget_plugin,
        summary="Forget a plugin that is not used any more, and let go of the samples that are held for it",
        description=(
            "As long as a plugin that was once run has a place in the data stream, the stream keeps what it has "
            "not handled, up to stream.max_bytes. What it remembers stays: when it is run again, it begins with "
            "what comes then. 409 while a runner of it is alive, or was some seconds ago, and when it is enabled "
            "here. 404 when it was never run."
        ),
        tag="system",
        answers={200: Answer("what was held for it", ref("ForgottenPlugin"))},
        errors=(403, 404, 409, 503),
    ),
]
