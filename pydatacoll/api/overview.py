"""``GET /api/v2/overview``: the plant at one look."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from pydatacoll.api import responses
from pydatacoll.api.live import feed_of
from pydatacoll.api.operation import Answer, Call, Operation, ref
from pydatacoll.api.problems import ApiProblem
from pydatacoll.api.services import Services
from pydatacoll.codec import json
from pydatacoll.errors import StoreError, StoreUnavailable
from pydatacoll.model import time_to_wire
from pydatacoll.store.plugin_overview import PluginOverview

BEHIND: Final = 10.0
"""Seconds that a plugin may be behind."""
AGAIN: Final = "2"
"""Seconds after which to ask again while the store is away: a header."""
_ARCHIVE: Final = "db_saver"


def _health(name: str, state: str, detail: str) -> dict[str, str]:
    return {"name": name, "state": state, "detail": detail}


def _of_plugin(plugin: PluginOverview) -> tuple[str, str]:
    if plugin.state != "running":
        return ("warning" if plugin.state == "not enabled" else "error"), plugin.state
    if plugin.behind > BEHIND:
        return "warning", f"{plugin.behind:.0f} s behind"
    return "ok", "running"


async def health_of(services: Services) -> Sequence[dict[str, str]]:
    """What works and what does not."""
    feed = feed_of(services)
    reasons = [reason for reason in await services.readiness() if "the store" in reason]
    if reasons or feed.away:
        return [_health("store", "error", "; ".join(reasons) or "the store cannot be reached")]
    found = [_health("store", "ok", "answers and takes writes"), _of_managers(len(feed.missing), feed.partitions)]
    try:
        plugins = await services.plugins(sorted(services.plugins_enabled))
    except StoreError as error:
        return [_health("store", "error", str(error))]
    for plugin in plugins:
        state, detail = _of_plugin(plugin)
        if plugin.name == _ARCHIVE and services.archive is not None:
            found.append(_health("archive", state, "is written" if state == "ok" else detail))
        found.append(_health(f"plugin {plugin.name}", state, detail))
    return found


def _of_managers(missing: int, partitions: int) -> dict[str, str]:
    if not missing:
        return _health("manager", "ok", "all devices have a manager")
    if missing == partitions:
        return _health("manager", "error", "no device manager runs")
    return _health("manager", "warning", f"no device manager runs {missing} of {partitions} partitions")


_GENERALLY: Final = {"ok": "works", "warning": "does not work as it should", "error": "does not work"}


def _in_general(health: Mapping[str, str]) -> dict[str, str]:
    """For tokens that are limited to devices: the reasons may name hosts, addresses and files."""
    return {**health, "detail": _GENERALLY[health["state"]]}


async def overview(call: Call) -> web.StreamResponse:
    """For the devices that the token sees."""
    services, identity = call.services, call.identity
    feed = feed_of(services)
    try:
        found = await feed.overview(lambda: health_of(services))
    except StoreUnavailable as error:
        raise ApiProblem("store-unavailable", str(error), headers={"Retry-After": AGAIN}) from error
    rights = identity if identity.devices else None
    if rights not in found.encoded:
        totals, devices = found.overview.of(identity.sees if identity.devices else None)
        shown: dict[str, Any] = {
            "time": time_to_wire(time.time()),
            "totals": totals,
            "health": found.health if rights is None else [_in_general(one) for one in found.health],
            "devices": devices,
        }
        found.encoded[rights] = json.encode(shown)
    return responses.raw(found.encoded[rights])


OPERATIONS = [
    Operation(
        id="overview",
        method="GET",
        path="/api/v2/overview",
        handler=overview,
        summary="The plant at one look: what is not as it should be, devices worst first",
        description=(
            "Worked out once a second at most, however many ask. A token sees only its devices. While the store "
            "is away it shows what was known last, or is 503 with Retry-After when nothing is known."
        ),
        tag="live",
        answers={200: Answer("the plant", ref("OverviewView"))},
        errors=(503,),
    ),
]
