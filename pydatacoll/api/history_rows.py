"""Samples and buckets of the archive as JSON and as CSV, made text at once: there are many of them. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal

from pydatacoll.archive.shapes import Bucket, Stored
from pydatacoll.archive.values import FLOAT, from_columns
from pydatacoll.codec import json
from pydatacoll.model import PointId, time_to_wire
from pydatacoll.model.quality import quality_to_wire
from pydatacoll.model.sample import Value

Format = Literal["json", "csv"]

POINT_COLUMNS: Final = ("device_id", "term_id", "item_id")
SAMPLE_COLUMNS: Final = (*POINT_COLUMNS, "time", "value", "quality")
BUCKET_COLUMNS: Final = (
    *POINT_COLUMNS, "time", "min", "max", "mean", "count", "bad", "last", "last_time", "quality",
)  # fmt: skip


def header(*, buckets: bool) -> str:
    """First line of a CSV document."""
    return ",".join(BUCKET_COLUMNS if buckets else SAMPLE_COLUMNS) + "\r\n"


def sample_writer(how: Format, point: PointId) -> Callable[[Stored], str]:
    """Writes samples of one point. A JSON object has no comma after it, a CSV line its end."""
    if how == "csv":
        head = ",".join(point)
        return lambda row: f"{head},{_time(row[0])},{_csv(from_columns(*row[1:4]))},{_csv_quality(row[4])}\r\n"
    head = _head(point)

    def write(row: Stored) -> str:
        micros, number, text, kind, quality = row
        value = repr(number) if kind == FLOAT and number is not None else _json(from_columns(number, text, kind))
        return f'{head}"time":"{_time(micros)}","value":{value},"quality":{_json_quality(quality)}}}'

    return write


def bucket_writer(how: Format, point: PointId) -> Callable[[Bucket], str]:
    """Writes buckets of one point."""
    if how == "csv":
        head = ",".join(point)
        return lambda one: (
            f"{head},{_time(one.time)},{_csv(one.low)},{_csv(one.high)},{_csv(one.mean)},{one.good},{one.bad},"
            f"{_csv(one.last)},{_time(one.last_time)},{_csv_quality(one.quality)}\r\n"
        )
    head = _head(point)
    return lambda one: (
        f'{head}"time":"{_time(one.time)}","min":{_json(one.low)},"max":{_json(one.high)},"mean":{_json(one.mean)},'
        f'"count":{one.good},"bad":{one.bad},"last":{_json(one.last)},"last_time":"{_time(one.last_time)}",'
        f'"quality":{_json_quality(one.quality)}}}'
    )


def _head(point: PointId) -> str:
    """Ids hold nothing that JSON would escape."""
    return f'{{"device_id":"{point.device_id}","term_id":"{point.term_id}","item_id":"{point.item_id}",'


def _time(micros: int) -> str:
    """As :func:`pydatacoll.model.time_to_wire`, for times that follow each other."""
    minute, rest = divmod(micros, 60_000_000)
    second, fraction = divmod(rest, 1_000_000)
    return f"{_minute(minute)}{second:02}.{fraction:06}Z"


@lru_cache(maxsize=64)
def _minute(minute: int) -> str:
    return time_to_wire(minute * 60.0)[:17]


def _json(value: Value) -> str:
    if type(value) is float or type(value) is int:
        return repr(value)
    return json.encode(value).decode()


def _csv(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        line = io.StringIO()
        # as the command line writes them: what a spreadsheet would take for a formula begins with an apostrophe
        csv.writer(line, lineterminator="").writerow(
            [f"'{value}" if value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value]
        )
        return line.getvalue()
    return repr(value)


@lru_cache(maxsize=512)
def _json_quality(quality: int) -> str:
    return json.encode(quality_to_wire(quality)).decode()


@lru_cache(maxsize=512)
def _csv_quality(quality: int) -> str:
    words = quality_to_wire(quality)
    return words if isinstance(words, str) else " ".join(words)
