"""The plant at one look: of every device its link, how many of its values and alarms are not as they should be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pydatacoll.live.cells import DeviceState
from pydatacoll.live.hub import Hub
from pydatacoll.live.states import States
from pydatacoll.model import Device
from pydatacoll.model.alarm import PRIORITIES
from pydatacoll.model.quality import Quality
from pydatacoll.store.pace import Pace

STALE: Final = int(Quality.COMM_LOST | Quality.NOT_TOPICAL | Quality.STALE)
USABLE: Final = int(Quality.TIME_INVALID)
_UP: Final = frozenset({"connected", "virtual"})
_NO_LINK: Final = {"state": "no_manager", "since": None, "last_error": None}


class Counts(NamedTuple):
    """Values of one device, by quality."""

    points: int
    bad: int
    stale: int


def counts_of(state: DeviceState | None) -> Counts:
    """How many of a device's values nobody renews, and how many others are of bad quality."""
    if state is None:
        return Counts(0, 0, 0)
    bad = stale = 0
    flags = state.flags
    for cell in state.cells.values():
        quality = cell.quality | flags
        if quality:
            if quality & STALE:
                stale += 1
            elif quality & ~USABLE:
                bad += 1
    return Counts(len(state.cells), bad, stale)


class _Alarms:
    """Alarms of one device."""

    __slots__ = ("active", "by_priority", "unacknowledged")

    def __init__(self) -> None:
        self.active = 0
        self.unacknowledged = 0
        self.by_priority: dict[str, int] = dict.fromkeys(PRIORITIES, 0)

    @property
    def worst(self) -> str | None:
        """The highest priority of all."""
        return next((one for one in reversed(PRIORITIES) if self.by_priority[one]), None)


_NO_ALARMS: Final = _Alarms()


def _alarms(hub: Hub) -> dict[str, _Alarms]:
    found: dict[str, _Alarms] = {}
    for _, alarm in hub.alarms.current():
        active = alarm.active and alarm.state != "shelved"
        unacknowledged = alarm.state.endswith("_unacknowledged")
        if active or unacknowledged:
            one = found.setdefault(alarm.device_id, _Alarms())
            one.active += active
            one.unacknowledged += unacknowledged
            one.by_priority[alarm.priority] += 1
    return found


class Overview(NamedTuple):
    """All devices, worst first, JSON types; ``by_priority`` of each device: its alarms."""

    devices: Sequence[dict[str, Any]]
    by_priority: Mapping[str, Mapping[str, int]]

    def of(self, sees: Callable[[str], bool] | None) -> tuple[dict[str, Any], Sequence[dict[str, Any]]]:
        """Totals and devices for a token."""
        devices = [one for one in self.devices if sees is None or sees(one["device_id"])]
        priorities: dict[str, int] = dict.fromkeys(PRIORITIES, 0)
        for device in devices:
            for name, count in self.by_priority.get(device["device_id"], {}).items():
                priorities[name] += count
        totals: dict[str, Any] = {
            "devices": len(devices),
            "devices_down": sum(map(_down, devices)),
            **{name: sum(one[name] for one in devices) for name in ("points", "bad", "stale")},
            "alarms_active": sum(one["alarms_active"] for one in devices),
            "alarms_unacknowledged": sum(one["alarms_unacknowledged"] for one in devices),
            "alarms_by_priority": priorities,
            "values_per_second": self.rate_of(devices),
        }
        return totals, devices

    @staticmethod
    def rate_of(devices: Sequence[Mapping[str, Any]]) -> float | None:
        """Values in a second of all of them; ``None`` while that is not known."""
        rates = [one["values_per_second"] for one in devices]
        return None if None in rates else round(sum(rates), 1)


def _down(device: Mapping[str, Any]) -> bool:
    return bool(device["enabled"]) and device["link"]["state"] not in _UP


def _badness(device: Mapping[str, Any]) -> tuple[Any, ...]:
    worst = device["worst_priority"]
    return (
        not _down(device),
        -1 - PRIORITIES.index(worst) if worst is not None else 0,
        -device["alarms_unacknowledged"],
        -device["alarms_active"],
        -device["bad"],
        -device["stale"],
        device["device_id"],
    )


def _rate(hub: Hub, state: DeviceState | None) -> float | None:
    """The first second that somebody looks is hardly ever a whole one."""
    if hub.seconds < 2:
        return None
    return 0.0 if state is None else round(state.rate, 1)


async def look(hub: Hub, states: States, devices: Iterable[Device]) -> Overview:
    """Work it out, a few milliseconds at a time."""
    alarms, pace = _alarms(hub), Pace()
    rows = []
    for device in list(devices):
        state = hub.devices.get(device.id)
        counts, own = counts_of(state), alarms.get(device.id, _NO_ALARMS)
        shown = states.shown.get(device.id)
        rows.append(
            {
                "device_id": device.id,
                "name": device.name,
                "protocol": device.protocol,
                "enabled": device.enabled,
                "link": _NO_LINK if shown is None else shown["link"],
                "points": counts.points,
                "bad": counts.bad,
                "stale": counts.stale,
                "alarms_active": own.active,
                "alarms_unacknowledged": own.unacknowledged,
                "worst_priority": own.worst,
                "values_per_second": _rate(hub, state),
            }
        )
        await pace.rest()
    rows.sort(key=_badness)
    await asyncio.sleep(0)
    return Overview(rows, {device_id: one.by_priority for device_id, one in alarms.items()})
