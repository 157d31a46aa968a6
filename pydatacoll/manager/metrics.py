"""Prometheus metrics, from what managers report to the store, so that they hold for any number of processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from pydatacoll.errors import StoreError
from pydatacoll.manager.device_metrics import OUTCOMES, device_families, device_text
from pydatacoll.manager.system_metrics import (
    LoopLag,
    alarm_families,
    manager_families,
    plugin_families,
    process_families,
    store_families,
)
from pydatacoll.store.overview import Overview
from pydatacoll.store.plugin_reports import PluginReport
from pydatacoll.store.repository import Repository
from pydatacoll.store.status import STATES, Link, StatusReader

Reports = Mapping[str, Mapping[str, PluginReport]]
"""Plugin -> runner -> what it says."""


class _Snapshot:
    """Families made before the exposition, because prometheus-client collects synchronously."""

    def __init__(self) -> None:
        self.families: list[Metric] = []

    def collect(self) -> Iterable[Metric]:
        return self.families


class Metrics:
    """Makes the text of ``/metrics``.

    For every device ``read = stored + unchanged + rejected + dropped + pending`` holds.

    :param devices: whether every device has its own figures, or only sums are shown.
    :param plugins: reads what the runners of plugins say.
    :param more: gives the metrics of other parts.
    """

    def __init__(
        self,
        repository: Repository,
        status: StatusReader,
        look: Callable[[], Awaitable[Overview]],
        *,
        devices: bool = True,
        plugins: Callable[[], Awaitable[Reports]] | None = None,
        more: Callable[[], Iterable[Metric]] = tuple,
    ) -> None:
        self._repository = repository
        self._status = status
        self._look = look
        self._with_devices = devices
        self._plugins = plugins
        self._more = more
        self.lag = LoopLag()
        self._snapshot = _Snapshot()
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(self._snapshot)

    async def text(self) -> bytes:
        """The exposition; while the store is away without what only that knows, and ``pydatacoll_store_up 0``."""
        overview: Overview | None = None
        details: dict[str, dict[str, Any]] = {}
        links: dict[str, Link] = {}
        reports: Reports = {}
        try:
            overview = await self._look()
            reports = await self._plugins() if self._plugins is not None else {}
            known = self._repository.registry.devices
            reported = await self._status.all_devices()
            links = dict(zip(known, await self._status.links(list(known)), strict=True))
            details = {device_id: detail for device_id, detail in reported.items() if device_id in links}
        except StoreError:
            overview = None
        self._snapshot.families = self.families(overview, details, links, reports)
        text: bytes = generate_latest(self._registry)
        return text + await device_text(details, links) if self._with_devices else text

    def families(
        self,
        overview: Overview | None,
        details: Mapping[str, Mapping[str, Any]],
        links: Mapping[str, Link],
        reports: Reports,
    ) -> list[Metric]:
        """All metrics but those of every device; without an overview those of the store have no values."""
        up = GaugeMetricFamily("pydatacoll_store_up", "1 when the store answers", value=overview is not None)
        return [
            up,
            *store_families(overview),
            *self._model(),
            *_sums(details, links),
            *manager_families(overview),
            *plugin_families(overview, reports),
            *alarm_families(overview),
            *process_families(self.lag),
            *self._more(),
        ]

    def catalogue(self) -> list[Metric]:
        """Every family of ours, for the documentation."""
        return [*self.families(None, {}, {}, {}), *device_families()]

    def _model(self) -> list[Metric]:
        registry = self._repository.registry
        objects = GaugeMetricFamily("pydatacoll_objects", "Objects of the model", labels=["kind"])
        for kind in ("devices", "terms", "items", "term_items", "formulas"):
            objects.add_metric([kind], len(getattr(registry, kind)))
        version = GaugeMetricFamily("pydatacoll_model_version", "Version of the model", value=registry.version)
        return [objects, version]


def _sums(details: Mapping[str, Mapping[str, Any]], links: Mapping[str, Link]) -> list[Metric]:
    """Over all devices: accounting, polls and states of the links."""
    samples = CounterMetricFamily(
        "pydatacoll_accounted_samples", "Samples of all devices by what became of them", labels=["outcome"]
    )
    for outcome in OUTCOMES:
        samples.add_metric([outcome], sum(detail["accounting"][outcome] for detail in details.values()))
    pending = GaugeMetricFamily(
        "pydatacoll_accounted_samples_pending",
        "Samples of all devices on their way to the store",
        value=sum(detail["accounting"]["pending"] for detail in details.values()),
    )
    polls = CounterMetricFamily("pydatacoll_polls", "Polls of all devices by outcome", labels=["outcome"])
    for outcome, counter in (("all", "polls"), ("failed", "failed_polls"), ("missed", "missed_polls")):
        polls.add_metric([outcome], sum(detail["counters"].get(counter, 0) for detail in details.values()))
    states = GaugeMetricFamily("pydatacoll_devices", "Devices by the state of their link", labels=["state"])
    counted = Counter(link.state for link in links.values())
    for state in STATES:
        states.add_metric([state], counted[state])
    return [samples, pending, polls, states]
