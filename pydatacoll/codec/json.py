"""JSON in and out; the one module that knows which libraries do it.

In: msgspec, strict. It refuses what RFC 8259 refuses (``NaN``, ``Infinity``, leading zeros, bad UTF-8, lone
surrogates) and numbers that no double holds (``1e400``), all of which ujson takes. Out: ujson, which never
writes ``NaN`` here: a document that holds one is written by msgspec, as ``null``.
"""

from __future__ import annotations

from typing import Any

import msgspec
import ujson

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()
_CONTAINERS = frozenset({dict, list})

MAX_DEPTH = 32
"""Levels of nesting that a document may have."""
_TOO_DEEP = f"it is nested more than {MAX_DEPTH} levels deep"


class MalformedJson(ValueError):
    """Bytes that are no JSON document. The message says why and where, fit to be shown to the user."""


def decode(raw: bytes) -> Any:
    """Bytes (UTF-8) -> objects. Of a repeated key the last one counts.

    :raises MalformedJson: for everything else, and for nesting beyond ``MAX_DEPTH``, which would exhaust the
        stack of whatever walks the result.
    """
    try:
        value = _decoder.decode(raw)
    except UnicodeDecodeError as error:
        raise MalformedJson(f"invalid UTF-8 ({error.reason})") from None
    except msgspec.MsgspecError as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        if reason.startswith("Number out of range"):  # its path names no place that a user could find
            reason = "it holds a number that is out of range"
        raise MalformedJson(reason) from None
    except RecursionError:
        raise MalformedJson(_TOO_DEEP) from None
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            part
            for whole in level
            if type(whole) in _CONTAINERS
            for part in (whole.values() if type(whole) is dict else whole)
            if type(part) in _CONTAINERS
        ]
        if not level:
            return
    raise MalformedJson(_TOO_DEEP)


def encode(value: Any) -> bytes:
    """JSON types -> bytes (ASCII or UTF-8, no spaces). A NaN or an infinity becomes ``null``."""
    try:
        return ujson.dumps(value, allow_nan=False, escape_forward_slashes=False).encode()
    except OverflowError:
        return _encoder.encode(value)
