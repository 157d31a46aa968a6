"""Metrics of the system as a whole: the store, managers and their writers, plugins, this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from pydatacoll import supervise
from pydatacoll.model.alarm import PRIORITIES, STATES
from pydatacoll.store.overview import Overview
from pydatacoll.store.plugin_reports import PluginReport

_Family = type[CounterMetricFamily] | type[GaugeMetricFamily]
_PLUGIN: Mapping[str, tuple[_Family, str, str]] = {
    "lag": (GaugeMetricFamily, "lag_entries", "Batches that a plugin has not handled yet"),
    "samples": (GaugeMetricFamily, "lag_samples", "Samples that a plugin has not handled yet"),
    "pending": (GaugeMetricFamily, "pending_entries", "Batches that an outside reader has not acknowledged yet"),
    "dropped": (CounterMetricFamily, "dropped", "Samples trimmed before a plugin had handled them"),
    "handled": (CounterMetricFamily, "handled", "Samples that a plugin has handled"),
    "retries": (CounterMetricFamily, "retries", "Batches that a plugin was given again"),
    "dead_lettered": (CounterMetricFamily, "dead_lettered", "Samples that a plugin could not handle"),
}
"""Field of :class:`~pydatacoll.store.overview.GroupState` -> kind, name and text."""
LAG_PERIOD = 0.25
"""Seconds between two looks at the event loop."""

_STORE: Mapping[str, tuple[str, str]] = {
    "memory_bytes": ("used_memory", "Memory that the store uses"),
    "memory_limit_bytes": ("maxmemory", "Limit of the store's memory; 0: none"),
    "clients": ("connected_clients", "Connections to the store"),
    "commands_per_second": ("instantaneous_ops_per_sec", "Commands that the store executes"),
    "aof_bytes": ("aof_current_size", "Size of the append-only file"),
    "uptime_seconds": ("uptime_in_seconds", "Time since the store was started"),
}
_WRITER: Mapping[str, str] = {
    "calls": "Calls of a manager's write path",
    "samples": "Samples that a manager sent to the store",
    "bytes": "Bytes that a manager sent to the store",
    "repeated": "Calls that the store had already",
    "reconnects": "Interruptions of a manager's writing connection",
    "published": "Samples published for outside listeners",
}


class LoopLag:
    """How late the event loop is; :meth:`run` is its task."""

    def __init__(self) -> None:
        self._longest = 0.0
        self.total = 0.0

    async def run(self) -> None:
        """Look until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_PERIOD
            await asyncio.sleep(LAG_PERIOD)
            late = max(0.0, loop.time() - due)
            self.total += late
            self._longest = max(self._longest, late)

    def longest(self) -> float:
        """Seconds, since this was last asked."""
        longest, self._longest = self._longest, 0.0
        return longest


def store_families(overview: Overview | None) -> list[Metric]:
    """Of the store; without an overview the families alone."""
    info: Mapping[str, Any] = overview.info if overview is not None else {}
    families: list[Metric] = []
    for name, (field, text) in _STORE.items():
        family = GaugeMetricFamily(f"pydatacoll_store_{name}", text)
        if field in info:
            family.add_metric([], float(info[field]))
        families.append(family)
    count = GaugeMetricFamily("pydatacoll_store_keys", "Keys in the store")
    audit = GaugeMetricFamily("pydatacoll_audit_entries", "Entries of the audit trail, see audit.length")
    written = GaugeMetricFamily("pydatacoll_store_aof_ok", "1 when the append-only file took the last write")
    version = GaugeMetricFamily("pydatacoll_store_info", "1; the labels say what the store is", labels=["version"])
    if overview is not None:
        count.add_metric([], overview.keys)
        audit.add_metric([], overview.audit)
        if info.get("aof_enabled"):
            written.add_metric([], info.get("aof_last_write_status", "ok") == "ok")
        version.add_metric([str(info.get("valkey_version") or info.get("redis_version"))], 1)
    return [*families, count, audit, written, version]


def manager_families(overview: Overview | None) -> list[Metric]:
    """Of managers and their write paths, as they report them."""
    managers = GaugeMetricFamily("pydatacoll_managers", "Device managers that are alive")
    unowned = GaugeMetricFamily("pydatacoll_partitions_unowned", "Partitions whose devices no manager runs")
    devices = GaugeMetricFamily("pydatacoll_manager_devices", "Devices that a manager runs", labels=["manager"])
    pending = GaugeMetricFamily(
        "pydatacoll_ingest_pending", "Samples of a manager on their way to the store", labels=["manager"]
    )
    failing = GaugeMetricFamily("pydatacoll_ingest_failing", "1 while a manager cannot write", labels=["manager"])
    counters = {
        name: CounterMetricFamily(f"pydatacoll_ingest_{name}", text, labels=["manager"])
        for name, text in _WRITER.items()
    }
    if overview is not None:
        managers.add_metric([], len(overview.managers))
        unowned.add_metric([], overview.unowned)
        for name, said in overview.managers.items():
            devices.add_metric([name], said.devices)
            pending.add_metric([name], said.pending)
            failing.add_metric([name], said.error is not None)
            for counter, family in counters.items():
                family.add_metric([name], said.writer.get(counter, 0))
    return [managers, unowned, devices, pending, failing, *counters.values()]


def plugin_families(overview: Overview | None, reports: Mapping[str, Mapping[str, PluginReport]]) -> list[Metric]:
    """Of plugins, wherever they run.

    :param reports: plugin -> runner -> what it says.
    """
    entries = GaugeMetricFamily("pydatacoll_stream_entries", "Batches kept in the data streams")
    families = {
        field: kind(f"pydatacoll_plugin_{name}", text, labels=["plugin"])
        for field, (kind, name, text) in _PLUGIN.items()
    }
    behind = GaugeMetricFamily(
        "pydatacoll_plugin_behind_seconds",
        "How long the oldest sample to be handled has waited",
        labels=["plugin"],
    )
    if overview is not None:
        entries.add_metric([], sum(overview.streams))
        for plugin, group in overview.groups.items():
            for field, family in families.items():
                family.add_metric([plugin], getattr(group, field))
            behind.add_metric([plugin], group.behind(overview.time))
    labels = ["plugin", "runner"]
    up = GaugeMetricFamily("pydatacoll_plugin_up", "1 when a runner of a plugin does its work", labels=labels)
    owned = GaugeMetricFamily("pydatacoll_plugin_partitions", "Partitions that a runner handles", labels=labels)
    step = GaugeMetricFamily(
        "pydatacoll_plugin_longest_step_seconds",
        "Longest time in which a plugin let nothing else of its process run",
        labels=labels,
    )
    events = CounterMetricFamily(
        "pydatacoll_plugin_events", "What a plugin counts by itself", labels=[*labels, "event"]
    )
    for plugin, runners in reports.items():
        for runner, said in runners.items():
            up.add_metric([plugin, runner], said.state == "running")
            owned.add_metric([plugin, runner], len(said.partitions))
            step.add_metric([plugin, runner], said.longest_step)
            for event, count in said.counters.items():
                events.add_metric([plugin, runner, event], count)
    return [entries, *families.values(), behind, up, owned, step, events]


def alarm_families(overview: Overview | None) -> list[Metric]:
    """Of alarms that are not normal."""
    alarms = GaugeMetricFamily("pydatacoll_alarms", "Alarms that are not normal", labels=["state", "priority"])
    unacknowledged = GaugeMetricFamily(
        "pydatacoll_alarms_unacknowledged",
        "Alarms that nobody has acknowledged, active or returned, but not shelved",
        labels=["priority"],
    )
    shelved = GaugeMetricFamily("pydatacoll_alarms_shelved", "Alarms that are silenced for some time")
    lost = CounterMetricFamily(
        "pydatacoll_alarm_steps_lost",
        "Steps of alarms that the store forgot before a plugin that follows them (db_saver) had read them",
        labels=["plugin"],
    )
    if overview is not None:
        counts = overview.alarms
        for state in STATES[1:]:
            for priority in PRIORITIES:
                alarms.add_metric([state, priority], counts[state, priority])
        for priority in PRIORITIES:
            open_ = (counts[state, priority] for state in STATES if state.endswith("_unacknowledged"))
            unacknowledged.add_metric([priority], sum(open_))
        shelved.add_metric([], sum(counts["shelved", priority] for priority in PRIORITIES))
        for plugin in overview.groups:
            lost.add_metric([plugin], overview.alarms_lost[plugin])
    return [alarms, unacknowledged, shelved, lost]


def process_families(lag: LoopLag) -> list[Metric]:
    """Of this process, beside the usual ``process_*`` and ``python_*``."""
    failures = CounterMetricFamily(
        "pydatacoll_service_failures", "Services of this process started again", labels=["service"]
    )
    for name, count in supervise.failures.items():
        failures.add_metric([name], count)
    try:
        tasks = len(asyncio.all_tasks())
    except RuntimeError:  # no loop runs while the documentation is made
        tasks = 0
    return [
        failures,
        GaugeMetricFamily("pydatacoll_tasks", "Tasks of the event loop", value=tasks),
        GaugeMetricFamily(
            "pydatacoll_loop_lag_seconds",
            "Longest delay of the event loop since the last scrape",
            value=lag.longest(),
        ),
        CounterMetricFamily("pydatacoll_loop_late_seconds", "Delays of the event loop added up", value=lag.total),
    ]
