"""Text for terminals and spreadsheets: nothing that a name or a message contains may act there."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, Final

# Control characters (C0, DEL, C1), and what changes the direction or the order of what is shown.
_ACTING: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_ACTING_IN_JSON: Final = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z")


def clean(text: str) -> str:
    """The text with every character that acts on a terminal made visible: ``\\x1b``."""
    return _ACTING.sub(lambda found: ascii(found.group())[1:-1], text)


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON that is safe to be shown; characters that act on a terminal are escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _ACTING_IN_JSON.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def cell(value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return " ".join(map(clean, value))
    if isinstance(value, (dict, list)):
        return to_json(value)
    return clean(str(value))


def csv_cell(value: Any) -> str:
    """A value as a spreadsheet takes it: text that it would take for a formula begins with an apostrophe."""
    text = cell(value)
    if isinstance(value, str) and text[:1] in {"=", "+", "-", "@"} and not _NUMBER.match(text):
        return f"'{text}"
    return text


def width(text: str) -> int:
    """Columns that a text takes in a terminal: East Asian wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def epoch(time: str) -> float:
    """Epoch seconds of a time as the API gives it."""
    return datetime.fromisoformat(time).timestamp()


def local_time(time: str | None) -> str:
    """A time of the API in the zone of this machine, to the millisecond."""
    if not time:
        return ""
    return datetime.fromisoformat(time).astimezone().isoformat(" ", "milliseconds")


def clock_time(time: str) -> str:
    """The same, without the date."""
    return datetime.fromisoformat(time).astimezone().strftime("%H:%M:%S.%f")[:-3]


def span(seconds: float) -> str:
    """A duration in its largest unit: ``350 ms``, ``42 s``, ``5 min``, ``3 h``, ``12 d``."""
    if seconds < 0:
        return f"-{span(-seconds)}"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def utc(seconds: float) -> str:
    """Epoch seconds as the API writes times."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
