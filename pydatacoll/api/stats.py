"""Counts requests for ``/metrics``, cheaply: well below a microsecond a request."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from pydatacoll.store.command_messages import Kind

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper limits of the histogram's buckets, seconds."""
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
LIVE: Final = ("websocket", "sse")
_ENDLESS: Final = frozenset({"live", "events"})
"""Routes whose answers last as long as their clients like."""
REFUSED: Final = frozenset({401, 403, 429})


class _Series:
    """Requests of one route and method."""

    __slots__ = ("buckets", "seconds", "statuses")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.statuses = [0] * 10
        self.seconds = 0.0


class HttpStats:
    """Requests by route template, method and class of status. Paths that are not served count as one route.

    :ivar live: clients of live push that are there now, ``websocket`` and ``sse``.
    """

    def __init__(self) -> None:
        self.live = dict.fromkeys(LIVE, 0)
        self._series: dict[tuple[str | None, str], _Series] = {}
        self._refused: Counter[int] = Counter()
        self._paths: Mapping[str, str] = {}

    def name_routes(self, paths: Mapping[str, str]) -> None:
        """Take the template of every route by its name."""
        self._paths = paths

    def count(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """One request that was answered; ``route`` is the name of its route."""
        series = self._series.get((route, method))
        if series is None:
            if method not in METHODS:
                method = "other"
            series = self._series.setdefault((route, method), _Series())
        series.statuses[status // 100] += 1
        if route not in _ENDLESS or status >= 400:
            series.buckets[bisect_left(BUCKETS, seconds)] += 1
            series.seconds += seconds
        if status in REFUSED:
            self._refused[status] += 1

    def families(self) -> list[Metric]:
        """The metrics."""
        requests = CounterMetricFamily(
            "pydatacoll_http_requests", "Requests answered", labels=["route", "method", "status"]
        )
        durations = HistogramMetricFamily(
            "pydatacoll_http_request_duration_seconds",
            "Time from the header of a request to its answer",
            labels=["route", "method"],
        )
        refused = CounterMetricFamily(
            "pydatacoll_http_refused",
            "Requests without a valid token (401), beyond its rights (403) or its rate (429)",
            labels=["status"],
        )
        for (name, method), series in self._series.items():
            route = self._paths.get(name or "", "none")
            for hundreds, count in enumerate(series.statuses):
                if count:
                    requests.add_metric([route, method, f"{hundreds}xx"], count)
            total = 0
            buckets: list[tuple[str, float]] = []
            for limit, count in zip((*map(str, BUCKETS), "+Inf"), series.buckets, strict=True):
                total += count
                buckets.append((limit, total))
            durations.add_metric([route, method], buckets, series.seconds)
        for status in sorted(REFUSED):
            refused.add_metric([str(status)], self._refused[status])
        live = GaugeMetricFamily("pydatacoll_live_clients", "Clients of live push", labels=["kind"])
        for kind, count in self.live.items():
            live.add_metric([kind], count)
        return [requests, durations, refused, live]


def middleware(stats: HttpStats) -> Middleware:
    """Counts every request; the outermost, inside of which every failure has become a response."""
    now = time.perf_counter
    count = stats.count

    @web.middleware
    async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = now()
        response = await handler(request)
        count(request.match_info.route.name, request.method, response.status, now() - started)
        return response

    return counted


def command_families(outcomes: Mapping[tuple[Kind, int], int]) -> list[Metric]:
    """Of commands; ``outcomes``: (``call`` or ``ctrl``, status of the reply) -> how many."""
    family = CounterMetricFamily(
        "pydatacoll_commands",
        "Commands by kind and by the status of their reply (200: done)",
        labels=["kind", "status"],
    )
    for (kind, status), count in sorted(outcomes.items()):
        family.add_metric([kind, str(status)], count)
    return [family]
