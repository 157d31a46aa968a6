"""Figures of every device for ``/metrics``. There may be thousands of them: so the text is made here, in steps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from pydatacoll.store.status import CONNECTED, Link

OUTCOMES = {
    "read": "Samples that drivers gave",
    "stored": "Samples acknowledged by the store",
    "unchanged": "Samples not stored, because of their point's deadband or period",
    "rejected": "Samples that the store refused for good",
    "dropped": "Samples dropped because the buffer was full or their point was deleted",
}
STEP = 50
"""Devices between two turns of others."""

Detail = Mapping[str, Any]
Figure = Callable[[Detail, Link, float], float | None]


def _accounted(outcome: str) -> Figure:
    return lambda detail, link, now: detail["accounting"][outcome]


def _age(detail: Detail, link: Link, now: float) -> float | None:
    last: float | None = detail.get("last_seen")
    return None if last is None else max(0.0, now - last)


_FIGURES: list[tuple[type[Metric], str, str, Figure]] = [
    *(
        (CounterMetricFamily, f"pydatacoll_samples_{name}", text, _accounted(name))
        for name, text in OUTCOMES.items()
    ),
    (
        GaugeMetricFamily,
        "pydatacoll_samples_pending",
        "Samples read and on their way to the store",
        _accounted("pending"),
    ),
    (
        GaugeMetricFamily,
        "pydatacoll_device_up",
        "1 when the link is up",
        lambda _, link, __: link.state == CONNECTED,
    ),
    (GaugeMetricFamily, "pydatacoll_device_age_seconds", "Time since the last value", _age),
    (GaugeMetricFamily, "pydatacoll_device_points", "Points of a device", lambda detail, *_: detail["points"]),
    (
        GaugeMetricFamily,
        "pydatacoll_device_bad_points",
        "Points whose value is not to be used because of its quality",
        lambda detail, *_: detail.get("bad_points", 0),
    ),
    (
        GaugeMetricFamily,
        "pydatacoll_device_stale_points",
        "Points without a reading for their stale_after",
        lambda detail, *_: detail.get("stale_points", 0),
    ),
    (
        GaugeMetricFamily,
        "pydatacoll_device_frozen_points",
        "Points of the same raw value for their frozen_after",
        lambda detail, *_: detail.get("frozen_points", 0),
    ),
]
_EVENTS = "pydatacoll_device_events"


def device_families() -> list[Metric]:
    """The families, without samples."""
    families = [made(name, text, labels=["device"]) for made, name, text, _ in _FIGURES]  # type: ignore[call-arg]
    events = CounterMetricFamily(_EVENTS, "Protocol counters of a device", labels=["device", "event"])
    return [*families, events]


class _One(Collector):
    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> list[Metric]:
        return [self._family]


def _header(family: Metric) -> str:
    registry = CollectorRegistry()
    registry.register(_One(family))
    text: bytes = generate_latest(registry)
    return text.decode()


_HEADERS = [_header(family) for family in device_families()]


@lru_cache(maxsize=1000)
def _escaped(text: str) -> str:
    """A driver may call its counters what it likes."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


async def device_text(details: Mapping[str, Detail], links: Mapping[str, Link]) -> bytes:
    """The exposition; others run after every :data:`STEP` devices."""
    now = time.time()
    parts: list[list[str]] = [[header] for header in _HEADERS]
    *columns, events = parts
    names = [name + ("_total" if made is CounterMetricFamily else "") for made, name, _, _ in _FIGURES]
    figures = [(name, figure, column) for name, (*_, figure), column in zip(names, _FIGURES, columns, strict=True)]
    for number, (device_id, detail) in enumerate(details.items(), 1):
        link = links[device_id]
        label = f'{{device="{device_id}"'  # an id has no character that would have to be escaped
        for name, figure, column in figures:
            value = figure(detail, link, now)
            if value is not None:
                column.append(f"{name}{label}}} {float(value)!r}\n")
        for event, count in detail["counters"].items():
            events.append(f'{_EVENTS}_total{label},event="{_escaped(event)}"}} {float(count)!r}\n')
        if number % STEP == 0:
            await asyncio.sleep(0)
    return "".join(line for part in parts for line in part).encode()
