"""Points, their latest values and recent samples: ``/api/v2/points``, ``/api/v2/values``, ``.../datas``."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Set
from typing import Any

from aiohttp import web

from pydatacoll.api import query, responses
from pydatacoll.api.globs import globs, matching, point_globs
from pydatacoll.api.operation import Answer, Call, Operation, array, ref
from pydatacoll.api.points import find_point
from pydatacoll.api.resource import PAGE_HEADERS
from pydatacoll.codec import json
from pydatacoll.codec.entry import entry_to_json, quality_of_entry
from pydatacoll.errors import FieldError, Invalid, NotFound
from pydatacoll.model import PointId, Sample, sample_to_wire, time_to_wire
from pydatacoll.model.quality import FLAG_NAMES, Quality
from pydatacoll.model.registry import ModelView
from pydatacoll.model.validation import ProtocolSchema
from pydatacoll.store.pace import Pace

_COMM_LOST = int(Quality.COMM_LOST)

log = logging.getLogger(__name__)

_INDEX = re.compile(r"-?[0-9]{1,40}\Z")
_PLACES = 10**9
_DATAS = "/devices/{device_id}/terms/{term_id}/items/{item_id}/datas"
_SPAN = (
    query.integer("limit", "answer at most so many, the newest"),
    query.moment("since", "only samples of this time or later"),
    query.moment("until", "only samples of this time or earlier"),
)
_BY_TIME = {
    "type": "object",
    "additionalProperties": {"type": ["number", "string", "boolean", "null"]},
    "description": "time -> value",
}


async def _recent(call: Call) -> tuple[PointId, list[Sample]]:
    path, given = call.path, call.query
    point = find_point(call.model, path["device_id"], path["term_id"], path["item_id"]).id
    samples = await call.services.history.recent(
        point, limit=given["limit"], since=given["since"], until=given["until"]
    )
    return point, samples


async def datas_by_time(call: Call) -> web.StreamResponse:
    """An object: of two samples with one time the later wins."""
    _, samples = await _recent(call)
    return responses.of({time_to_wire(sample.time): sample.value for sample in samples})


async def datas(call: Call) -> web.StreamResponse:
    """A list, with quality."""
    point, samples = await _recent(call)
    return await responses.rows(samples, lambda sample: sample_to_wire(point, sample))


async def data_at(call: Call) -> web.StreamResponse:
    """One recent sample by its place."""
    path = call.path
    point = find_point(call.model, path["device_id"], path["term_id"], path["item_id"]).id
    index = path["index"]
    if not _INDEX.match(index):
        raise Invalid.of([FieldError(0, "index", "must be a whole number: 0 is the oldest, -1 the newest")])
    place = int(index)
    sample = await call.services.history.at(point, place) if abs(place) < _PLACES else None
    if sample is None:
        raise NotFound(f"index not found! {index}: {point} does not have so many recent samples")
    return responses.of({time_to_wire(sample.time): sample.value})


async def _points(model: ModelView, call: Call) -> list[PointId]:
    """Points that match the patterns and the ids, by path; an id that does not exist matches nothing."""
    given = call.query
    device_ids = sorted(model.devices) if given["device_id"] is None else sorted(given["device_id"])
    term_ids = None if given["term_id"] is None else frozenset(given["term_id"])
    item_ids = None if given["item_id"] is None else frozenset(given["item_id"])
    if given["glob"] is not None:
        return [
            point
            for point in await Pace().run(matching(model, given["glob"], device_ids))
            if (term_ids is None or point.term_id in term_ids) and (item_ids is None or point.item_id in item_ids)
        ]
    return [
        PointId(device_id, term_id, item_id)
        for device_id in device_ids
        for term_id in sorted(model.terms_of(device_id))
        if term_ids is None or term_id in term_ids
        for item_id in sorted(model.items_of(term_id))
        if item_ids is None or item_id in item_ids
    ]


def _matches(wanted: str) -> Callable[[int], bool]:
    if wanted == "good":
        return lambda quality: quality == 0
    if wanted == "bad":
        return lambda quality: quality != 0
    bit = FLAG_NAMES[wanted]
    return lambda quality: bool(quality & bit)


async def values(call: Call) -> web.StreamResponse:
    """Latest values; a point that never had one is left out."""
    points = await _points(call.model, call)
    entries = await call.services.history.latest_entries(points) if points else []
    cut_off = await _cut_off(call, {point.device_id for point in points})
    wanted = call.query["quality"]
    matches = _matches(wanted) if wanted is not None else None
    found: list[tuple[PointId, str, int]] = []
    for point, entry in zip(points, entries, strict=True):
        if entry is None:
            continue
        flags = _COMM_LOST if point.device_id in cut_off else 0
        if matches is None or _has(entry, flags, matches):
            found.append((point, entry, flags))
    some, headers = responses.page(call.request, found, call.query["limit"], call.query["offset"])
    return await responses.texts(some, _json, headers)


async def _cut_off(call: Call, device_ids: Set[str]) -> frozenset[str]:
    """Devices whose values nobody renews: disabled, without a driver, or without a manager that runs them.

    Their last value was good when it came; who reads it now must not take it for a present one.
    """
    devices, protocols = call.model.devices, call.services.schemas.protocols
    present = device_ids & devices.keys()  # one may have been deleted meanwhile
    idle = {one for one in present if not devices[one].enabled or devices[one].protocol not in protocols}
    real = [one for one in present if not _is_virtual(protocols.get(devices[one].protocol))]
    return frozenset(idle | await call.services.status.unmanaged(real)) if real else frozenset(idle)


def _is_virtual(driver: ProtocolSchema | None) -> bool:
    return driver is not None and driver.virtual


def _has(entry: str, flags: int, matches: Callable[[int], bool]) -> bool:
    try:
        return matches(quality_of_entry(entry) | flags)
    except (ValueError, IndexError):
        return False


def _json(found: tuple[PointId, str, int]) -> str | None:
    """``None`` for what is not readable in the store."""
    try:
        return entry_to_json(*found)
    except ValueError:
        log.warning("the latest value of %s is not readable: %.60r", *found[:2])
        return None


def _described(model: ModelView, point: PointId) -> dict[str, Any] | None:
    """``None`` for a point that is gone."""
    item, kind = model.term_items.get((point.term_id, point.item_id)), model.items.get(point.item_id)
    device = model.devices.get(point.device_id)
    if item is None or kind is None or device is None:
        return None
    return {
        **point._asdict(),
        "protocol": device.protocol,
        "name": kind.name,
        "unit": kind.unit,
        "protocol_code": item.protocol_code,
        "code_type": item.code_type,
        "coefficient": item.coefficient,
        "base_val": item.base_val,
        "writable": item.writable,
        "down_limit": item.down_limit,
        "up_limit": item.up_limit,
        "low_low": item.low_low,
        "high_high": item.high_high,
        "stale_after": item.stale_after,
    }


async def points(call: Call) -> web.StreamResponse:
    """Points that match, whether or not they ever had a value."""
    model = call.model
    chosen = call.query["glob"] or point_globs("*")
    found = await Pace().run(matching(model, chosen, sorted(model.devices)))
    some, headers = responses.page(call.request, found, call.query["limit"], call.query["offset"])

    def text(point: PointId) -> str | None:
        described = _described(model, point)
        return None if described is None else json.encode(described).decode()

    return await responses.texts(some, text, headers)


_SAMPLES = array(ref("SampleView"))
_GLOBS = globs("glob", "only points that match one of these device:term:item patterns, separated by commas")

OPERATIONS = [
    Operation(
        id="get_datas",
        method="GET",
        path=f"/api/v1{_DATAS}",
        handler=datas_by_time,
        summary="Recent samples of a point, oldest first: time -> value",
        tag="values",
        query=_SPAN,
        answers={200: Answer("time -> value", _BY_TIME)},
        errors=(404, 503),
    ),
    Operation(
        id="get_data_at",
        method="GET",
        path=f"/api/v1{_DATAS}/{{index}}",
        handler=data_at,
        summary="One recent sample: 0 is the oldest, -1 the newest",
        tag="values",
        answers={200: Answer("{time: value}", _BY_TIME)},
        errors=(404, 503),
    ),
    Operation(
        id="list_datas",
        method="GET",
        path=f"/api/v2{_DATAS}",
        handler=datas,
        summary="Recent samples of a point, oldest first, with quality",
        tag="values",
        query=_SPAN,
        answers={200: Answer("samples", _SAMPLES)},
        errors=(404, 503),
    ),
    Operation(
        id="list_points",
        method="GET",
        path="/api/v2/points",
        handler=points,
        summary="Points with what a person must know to read or write them",
        description="Ordered by device, term and item.",
        tag="values",
        query=(_GLOBS, *query.PAGING),
        answers={200: Answer("points", array(ref("PointView")), headers=PAGE_HEADERS)},
        errors=(503,),
    ),
    Operation(
        id="list_values",
        method="GET",
        path="/api/v2/values",
        handler=values,
        summary="Latest values of everything that matches",
        description=(
            "Ordered by device, term and item. A point that never had a value is left out. While a device is "
            "disabled, or no manager runs it, its last values have the quality comm_lost."
        ),
        tag="values",
        query=(
            query.ids("device_id", "only these devices"),
            query.ids("term_id", "only these terms"),
            query.ids("item_id", "only these items"),
            _GLOBS,
            query.quality("quality", "good, bad (anything else) or one flag"),
            *query.PAGING,
        ),
        answers={200: Answer("latest values", _SAMPLES, headers=PAGE_HEADERS)},
        errors=(503,),
    ),
]
