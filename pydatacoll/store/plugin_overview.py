"""Plugins as a whole: how far each is, and what its runners say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pydatacoll.store.client import Store
from pydatacoll.store.overview import GroupState, look
from pydatacoll.store.plugin_reports import PluginReport, read_reports

STOPPED = "stopped"
NOT_ENABLED = "not enabled"


@dataclass(frozen=True, slots=True)
class PluginOverview:
    """One plugin.

    :ivar state: ``running``; or what a runner says that does not; without a runner ``stopped``, or ``not enabled``
        when nobody asks for one: what comes is held for it nevertheless.
    :ivar behind: seconds that the oldest sample to be handled has waited.
    :ivar runners: those that are alive.
    """

    name: str
    state: str
    progress: GroupState
    behind: float
    runners: dict[str, PluginReport] = field(default_factory=dict)


async def look_at_plugins(store: Store, enabled: Iterable[str] = ()) -> list[PluginOverview]:
    """All plugins that were ever run, and those that are enabled.

    :raises StoreError: when the store is away.
    """
    wanted = set(enabled)
    reports = await read_reports(store, wanted)
    seen = await look(store)
    found = []
    for name, runners in reports.items():
        progress = seen.groups.get(name, GroupState())
        troubles = [said.state for said in runners.values() if said.state != "running"]
        alone = STOPPED if name in wanted else NOT_ENABLED
        state = troubles[0] if troubles else "running" if runners else alone
        found.append(PluginOverview(name, state, progress, progress.behind(seen.time), runners))
    return found
