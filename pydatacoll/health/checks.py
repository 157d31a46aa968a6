"""The single checks of the diagnosis: what is found, how bad it is, what to do. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import Struct

from pydatacoll.store.overview import Overview
from pydatacoll.store.plugin_reports import PluginReport
from pydatacoll.store.status import BACKOFF, CONNECTED, CONNECTING, NO_MANAGER, UNSUPPORTED, VIRTUAL, Link

Status = Literal["ok", "warning", "failed"]

MEMORY_WARNING: Final = 0.8
"""Part of the store's limit of memory from which it is warned of."""
CLOCK_WARNING: Final = 1.0
"""Seconds between two clocks from which it is warned of."""
CLOCK_FAILED: Final = 30.0
"""Seconds from which commands may be taken for expired."""
DISK_LEAST: Final = 1_000_000_000
"""Free bytes below which it is warned of."""
DISK_PART: Final = 0.1
"""Free part of the disk below which it is warned of."""
BEHIND: Final = 30.0
"""Seconds a plugin may be behind."""
SILENT: Final = 60.0
"""Seconds after which a device that is connected should have sent a value."""
WORST: Final = 5
"""Devices that are named."""
EXPIRES_SOON: Final = 14 * 86_400
"""Seconds before a certificate's end from which it is warned of."""
_NO_MANAGER: Final = "start a manager (python -m pydatacoll.device_manager), or wait for manager.lease"


class Check(Struct, frozen=True):
    """One thing that was looked at. ``remedy`` is empty when there is nothing to do."""

    check: str
    status: Status
    detail: str
    remedy: str = ""


def store(info: Mapping[str, Any], *, embedded: bool) -> Iterator[Check]:
    """The server by its ``INFO``."""
    product = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version"))
    yield Check("store", "ok", f"{product} {version}, {'embedded' if embedded else 'external'}")
    if not info.get("aof_enabled"):
        yield Check(
            "persistence",
            "warning",
            "the append-only file is off: a crash of the server loses data",
            "set appendonly yes in its configuration",
        )
    elif info.get("aof_last_write_status", "ok") != "ok":
        yield Check(
            "persistence", "failed", "the last write of the append-only file failed", "make room on its disk"
        )
    elif info.get("aof_last_bgrewrite_status", "ok") != "ok":
        yield Check(
            "persistence",
            "warning",
            "the append-only file could not be rewritten and grows on",
            "make room on its disk, and see the server's log",
        )
    else:
        yield Check("persistence", "ok", f"append-only file, {_bytes(float(info.get('aof_current_size', 0)))}")
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        yield Check(
            "eviction",
            "failed",
            f"maxmemory-policy is {policy}: the server may silently drop the model",
            "set maxmemory-policy noeviction",
        )
    used, limit = float(info.get("used_memory", 0)), float(info.get("maxmemory", 0))
    if limit and used > MEMORY_WARNING * limit:
        yield Check(
            "memory",
            "warning" if used < limit else "failed",
            f"the store uses {_bytes(used)} of at most {_bytes(limit)}",
            "raise maxmemory (redis.maxmemory), or shorten history.length and stream.max_bytes",
        )
    else:
        yield Check("memory", "ok", _bytes(used) + (f" of at most {_bytes(limit)}" if limit else ", no limit set"))


def managers(overview: Overview) -> Iterator[Check]:
    """Managers and partitions."""
    count = len(overview.managers)
    if overview.unowned:
        yield Check(
            "managers",
            "failed",
            f"no manager runs the devices of {overview.unowned} of {len(overview.owners)} partitions; "
            f"managers alive: {count}",
            "start one with python -m pydatacoll.device_manager; after one was killed wait for manager.lease",
        )
    else:
        devices = sum(said.devices for said in overview.managers.values())
        yield Check(
            "managers", "ok", f"{count} alive, {len(overview.owners)} partitions, {devices} devices running"
        )
    for name, said in overview.managers.items():
        if said.error is not None:
            yield Check(
                "writing",
                "failed",
                f"manager {name} cannot write, {said.pending} samples wait: {said.error}",
                "mend the store; what waits is written then, the oldest beyond manager.buffer are dropped",
            )


def devices(links: Mapping[str, Link]) -> Check:
    """How many are not connected, and those that are away for the longest time; so is one that is connected again
    but has not answered yet."""
    states = Counter(link.state for link in links.values())
    unknown = states[NO_MANAGER]
    if unknown and unknown == len(links):
        return Check(
            "devices", "warning", f"nothing is known of {unknown} devices while no manager runs them", _NO_MANAGER
        )
    away = {
        device_id: link
        for device_id, link in links.items()
        if link.state in {BACKOFF, CONNECTING, UNSUPPORTED} or (link.state == CONNECTED and link.last_error)
    }
    text = f"{states[CONNECTED] + states[VIRTUAL]} of {len(links)} connected"
    if states["disabled"]:
        text += f", {states['disabled']} disabled"
    if unknown:
        text += f", nothing is known of {unknown} that no manager runs"
    if not away:
        return Check("devices", "warning", text, _NO_MANAGER) if unknown else Check("devices", "ok", text)
    longest = sorted(away.items(), key=lambda entry: entry[1].since or 0.0)[:WORST]
    named = "; ".join(f"{device_id}: {link.last_error or link.state}" for device_id, link in longest)
    more = f"; and {len(away) - WORST} more" if len(away) > WORST else ""
    return Check(
        "devices",
        "warning",
        f"{text}; {named}{more}",
        "check address and network of the device (pydatacoll probe), or set enabled to false",
    )


def points(links: Mapping[str, Link], details: Mapping[str, Mapping[str, Any]]) -> Check:
    """How many have a bad quality, and the devices with most of them.

    :param details: what managers reported of their devices. A device that nobody runs now is left out.
    """
    running = {
        device_id: details[device_id]
        for device_id, link in links.items()
        if device_id in details and link.state in {CONNECTED, CONNECTING, BACKOFF}
    }
    total = sum(detail["points"] for detail in running.values())
    bad = {device_id: count for device_id, detail in running.items() if (count := detail.get("bad_points", 0))}
    if not bad:
        return Check("points", "ok", f"{total}, none of bad quality")
    worst = sorted(bad, key=lambda device_id: (-bad[device_id], device_id))[:WORST]
    named = "; ".join(f"{name}: {bad[name]} of {running[name]['points']}{_why(links[name])}" for name in worst)
    more = f"; and {len(bad) - WORST} more devices" if len(bad) > WORST else ""
    return Check(
        "points",
        "warning",
        f"{sum(bad.values())} of {total} have a bad quality; {named}{more}",
        "look which and why (pydatacoll get '*' --quality bad): with comm_lost check network, address and unit id "
        "of the device, with invalid the address and the type of the point, with not_topical whether the device "
        "has that address (pydatacoll discovered)",
    )


def silent(links: Mapping[str, Link], details: Mapping[str, Mapping[str, Any]], now: float) -> Iterator[Check]:
    """Devices that are connected and have never sent a value: their points have no quality yet that could be bad.

    :param now: epoch seconds.
    """
    found = sorted(
        device_id
        for device_id, link in links.items()
        if link.state == CONNECTED
        and (detail := details.get(device_id)) is not None
        and detail["points"]
        and detail.get("last_seen") is None
        and now - (link.since or now) > SILENT
    )
    if found:
        more = f"; and {len(found) - WORST} more" if len(found) > WORST else ""
        yield Check(
            "values",
            "warning",
            f"{len(found)} devices are connected and have never sent a value: {'; '.join(found[:WORST])}{more}",
            "look at its status (/api/v2/devices/{device_id}/status) for what it was asked and did not "
            "answer, and whether the address of the term is that of the device",
        )


def _why(link: Link) -> str:
    return f" ({link.last_error})" if link.last_error else ""


def clock(here: float, there: float, round_trip: float) -> Check:
    """This host's clock against the store's, epoch seconds."""
    off = abs(here - there)
    if off <= CLOCK_WARNING + round_trip:
        return Check("clock", "ok", f"{off:.3f} s off the store's")
    way = "ahead of" if here > there else "behind"
    return Check(
        "clock",
        "failed" if off > CLOCK_FAILED else "warning",
        f"this host is {off:.1f} s {way} the store",
        "synchronise the clocks of both hosts (chrony)",
    )


def manager_clocks(overview: Overview, period: float) -> Iterator[Check]:
    """Managers' clocks against the store's: a report is at most some periods old, and not of the future."""
    for name, said in overview.managers.items():
        age = overview.time - said.reported
        when = f"{age:.1f} s ago" if age > 0 else f"{-age:.1f} s in the future"
        if age < -CLOCK_WARNING or age > CLOCK_WARNING + 5 * period:
            yield Check(
                "clock",
                "warning",
                f"the last report of manager {name} is of {when}",
                f"synchronise the clock of {said.host}, and see whether that manager hangs",
            )


def disk(path: str, free: int, total: int) -> Check:
    """The disk of the data directory."""
    text = f"{_bytes(free)} of {_bytes(total)} free for {path}"
    if free >= DISK_LEAST and free >= DISK_PART * total:
        return Check("disk", "ok", text)
    status: Status = "failed" if free < DISK_LEAST / 10 else "warning"
    return Check("disk", status, text, "make room, or move data_dir; when it is full nothing can be stored")


def rights(path: str, mode: int, what: str) -> Check | None:
    """Who may read what should be secret; ``None`` when only its owner may."""
    if not mode & 0o077:
        return None
    flag = "go-rwx"
    return Check(
        "rights", "warning", f"other users may read {what} {path} (mode {mode:04o})", f"chmod {flag} '{path}'"
    )


def plugins(
    overview: Overview, enabled: Sequence[str], reports: Mapping[str, Mapping[str, PluginReport]]
) -> Iterable[Check]:
    """Whether plugins run, and how far they are behind.

    :param reports: plugin -> runner -> what it says.
    """
    found = []
    for name in enabled:
        if not reports.get(name):
            remedy = f"see the log, or start it with python -m pydatacoll.plugin_runner {name}"
            found.append(Check("plugins", "failed", f"no runner of {name} is alive", remedy))
    for name, runners in reports.items():
        for runner, said in runners.items():
            if said.state != "running":
                text = f"{name}: {said.state}: {said.last_error or 'no error yet'} (runner {runner})"
                found.append(
                    Check("plugins", "failed", text, "mend what the error says; nothing is lost meanwhile")
                )
    for name, group in overview.groups.items():
        behind = group.behind(overview.time)
        if behind > BEHIND:
            text = f"{name} is {behind:.0f} s and {group.samples} samples behind"
            remedy = f"start more runners with python -m pydatacoll.plugin_runner {name}"
            if name not in reports:
                remedy = f"let what reads with this consumer group go on, or remove it: XGROUP DESTROY ... {name}"
            elif not reports[name] and name not in enabled:
                text = f"{name} is not enabled, and {group.samples} samples are held for it since {behind:.0f} s"
                remedy = f"enable it, or give them up with pydatacoll plugins forget {name}"
            found.append(Check("plugins", "warning", text, remedy))
        if group.dropped:
            text = f"{name} has missed {group.dropped} samples since ever: it was too slow"
            found.append(Check("plugins", "warning", text, "start more runners, or raise stream.max_bytes"))
        if group.dead_lettered:
            text = f"{name} could not handle {group.dead_lettered} samples since ever"
            remedy = f"see why in STREAM:DEAD:{{pN}}:{name}, and put right what is wrong"
            found.append(Check("plugins", "warning", text, remedy))
    names = sorted({*enabled, *overview.groups})
    if not found and names:
        found.append(Check("plugins", "ok", ", ".join(names)))
    return found


def certificate(path: str, left: float) -> Check:
    """``left``: seconds until the certificate ends."""
    days = int(left // 86_400)
    if left > EXPIRES_SOON:
        return Check("certificate", "ok", f"{path} is valid for {days} days")
    if left > 0:
        return Check(
            "certificate", "warning", f"{path} ends in {days} days", "renew it; a changed file is read at once"
        )
    return Check("certificate", "failed", f"{path} has ended", "renew it; a changed file is read at once")


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
