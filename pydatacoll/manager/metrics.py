"""Prometheus metrics, from what managers report to the store, so that they hold for any number of processes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from pydatacoll import supervise
from pydatacoll.errors import StoreError
from pydatacoll.store.ingest import IngestStats
from pydatacoll.store.repository import Repository
from pydatacoll.store.status import CONNECTED, Link, StatusReader

OUTCOMES = {
    "read": "Samples that drivers gave",
    "stored": "Samples acknowledged by the store",
    "unchanged": "Samples not stored, because of their point's deadband or period",
    "rejected": "Samples that the store refused for good",
    "dropped": "Samples dropped because the buffer was full or their point was deleted",
}


class _Snapshot:
    """Families made before the exposition, because prometheus-client collects synchronously."""

    def __init__(self) -> None:
        self.families: list[Metric] = []

    def collect(self) -> Iterable[Metric]:
        return self.families


class Metrics:
    """Makes the text of ``/metrics``.

    For every device ``read = stored + unchanged + rejected + dropped + pending`` holds.
    """

    def __init__(
        self,
        repository: Repository,
        status: StatusReader,
        *,
        ingest: IngestStats | None = None,
        plugins: Mapping[str, Any] | None = None,
    ) -> None:
        self._repository = repository
        self._status = status
        self.ingest = ingest
        self._plugins = plugins or {}
        self._snapshot = _Snapshot()
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(self._snapshot)

    async def text(self) -> bytes:
        """The exposition; while the store is away without the devices' part and with ``pydatacoll_store_up 0``."""
        up = 1
        families: list[Metric] = []
        try:
            details = await self._status.all_devices()
            known = self._repository.registry.devices
            ids = [device_id for device_id in details if device_id in known]
            links = dict(zip(ids, await self._status.links(ids), strict=True))
            families += _devices({device_id: details[device_id] for device_id in ids}, links)
        except StoreError:
            up = 0
        families.append(GaugeMetricFamily("pydatacoll_store_up", "1 when the store answers", value=up))
        families += self._model()
        families += self._own()
        self._snapshot.families = families
        text: bytes = generate_latest(self._registry)
        return text

    def _model(self) -> list[Metric]:
        registry = self._repository.registry
        objects = GaugeMetricFamily("pydatacoll_objects", "Objects of the model", labels=["kind"])
        for kind in ("devices", "terms", "items", "term_items", "formulas"):
            objects.add_metric([kind], len(getattr(registry, kind)))
        version = GaugeMetricFamily("pydatacoll_model_version", "Version of the model", value=registry.version)
        return [objects, version]

    def _own(self) -> list[Metric]:
        failures = CounterMetricFamily(
            "pydatacoll_service_failures", "Services of this process started again", labels=["service"]
        )
        for name, count in supervise.failures.items():
            failures.add_metric([name], count)
        families: list[Metric] = [failures]
        if self.ingest is not None:
            for name, text in (
                ("calls", "Calls of the write path"),
                ("samples", "Samples sent to the store"),
                ("bytes", "Bytes sent to the store"),
                ("repeated", "Calls that the store had already"),
                ("reconnects", "Interruptions of the writing connection"),
                ("published", "Samples published for outside listeners"),
            ):
                families.append(
                    CounterMetricFamily(f"pydatacoll_ingest_{name}", text, value=getattr(self.ingest, name))
                )
        for name in ("handled", "retries", "dead_lettered"):
            family = CounterMetricFamily(
                f"pydatacoll_plugin_{name}", f"Of a plugin in this process: {name}", labels=["plugin"]
            )
            for plugin, host in self._plugins.items():
                family.add_metric([plugin], getattr(host.stats, name))
            families.append(family)
        return families


def _devices(details: Mapping[str, Mapping[str, Any]], links: Mapping[str, Link]) -> list[Metric]:
    families: list[Metric] = []
    for outcome, text in OUTCOMES.items():
        family = CounterMetricFamily(f"pydatacoll_samples_{outcome}", text, labels=["device"])
        for device_id, detail in details.items():
            family.add_metric([device_id], detail["accounting"][outcome])
        families.append(family)
    pending = GaugeMetricFamily(
        "pydatacoll_samples_pending", "Samples read and on their way to the store", labels=["device"]
    )
    up = GaugeMetricFamily("pydatacoll_device_up", "1 when the link is up", labels=["device"])
    age = GaugeMetricFamily("pydatacoll_device_age_seconds", "Time since the last value", labels=["device"])
    points = GaugeMetricFamily("pydatacoll_device_points", "Points of a device", labels=["device"])
    stale = GaugeMetricFamily(
        "pydatacoll_device_stale_points", "Points without a reading for their stale_after", labels=["device"]
    )
    frozen = GaugeMetricFamily(
        "pydatacoll_device_frozen_points", "Points of the same raw value for their frozen_after", labels=["device"]
    )
    events = CounterMetricFamily(
        "pydatacoll_device_events", "Protocol counters of a device", labels=["device", "event"]
    )
    now = time.time()
    for device_id, detail in details.items():
        pending.add_metric([device_id], detail["accounting"]["pending"])
        up.add_metric([device_id], links[device_id].state == CONNECTED)
        points.add_metric([device_id], detail["points"])
        stale.add_metric([device_id], detail.get("stale_points", 0))
        frozen.add_metric([device_id], detail.get("frozen_points", 0))
        if detail.get("last_seen") is not None:
            age.add_metric([device_id], max(0.0, now - detail["last_seen"]))
        for event, count in detail["counters"].items():
            events.add_metric([device_id, event], count)
    return [*families, pending, up, age, points, stale, frozen, events]
