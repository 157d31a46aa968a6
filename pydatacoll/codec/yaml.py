"""YAML in and out; the one module that knows which library does it.

Only the part of YAML that holds what JSON holds: mappings with text keys, sequences and scalars. No scalar is what
it does not look like: ``true``, ``null`` and numbers as JSON writes them are no texts, everything else is one, as
it stands there. So ``007``, ``on``, ``1e3``, ``12:30`` and ``2026-11-21`` stay the texts that they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import yaml

from pydatacoll.model.steps import Steps

MAX_DEPTH = 32
"""Levels of nesting that a document may have."""
_PACE = 64
"""Events read between two stops."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,30})\Z")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?\Z")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./]*(?: [A-Za-z0-9_./]+)*\Z")
_AMBIGUOUS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""Words that some YAML reader takes for a boolean or null."""
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


class MalformedYaml(ValueError):
    """Bytes that are no YAML document as it is taken here. The message says why and where."""


def decode_steps(raw: bytes, at: Callable[[int], None] = lambda _: None) -> Steps[Any]:
    """Bytes (UTF-8) -> objects, in steps: reading 10 MB takes seconds.

    :param at: told the place in the document from time to time, in characters.
    :raises MalformedYaml: for what is not YAML, and for anchors, tags, several documents, repeated keys, keys that
        are no text and nesting beyond ``MAX_DEPTH``.
    """
    events: Iterator[Any] = yaml.parse(raw, Loader=_LOADER)
    try:
        return (yield from _document(events, at))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise MalformedYaml(f"{error.problem or error.context}{_place(mark)}") from None
    except yaml.YAMLError as error:
        raise MalformedYaml(" ".join(str(error).split())) from None
    except UnicodeDecodeError as error:
        raise MalformedYaml(f"invalid UTF-8 ({error.reason})") from None


def _document(events: Iterator[Any], at: Callable[[int], None]) -> Steps[Any]:
    build = _Builder()
    for count, event in enumerate(events):
        if count % _PACE == 0:
            at(event.start_mark.index)
            yield
        build.take(event)
    return build.root


class _Builder:
    """Events -> objects, without recursion: ``_stack`` holds the open containers, ``_keys`` for each of them the
    key that waits for its value."""

    def __init__(self) -> None:
        self.root: Any = None
        self._stack: list[Any] = []
        self._keys: list[str | None] = []
        self._documents = 0

    def take(self, event: Any) -> None:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._scalar(event)
        elif kind is yaml.MappingStartEvent:
            self._open(event, {})
        elif kind is yaml.SequenceStartEvent:
            self._open(event, [])
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            self._stack.pop()
            self._keys.pop()
        elif kind is yaml.AliasEvent:
            raise MalformedYaml(f"anchors and aliases are not taken{_place(event.start_mark)}")
        elif kind is yaml.DocumentStartEvent:
            self._documents += 1
            if self._documents > 1:
                raise MalformedYaml(f"there is more than one document{_place(event.start_mark)}")

    def _at_key(self) -> bool:
        return bool(self._stack) and type(self._stack[-1]) is dict and self._keys[-1] is None

    def _scalar(self, event: Any) -> None:
        _refuse_extras(event)
        value: str = event.value
        if self._at_key():
            if value in self._stack[-1]:
                raise MalformedYaml(f"the key {value!r:.80} is repeated{_place(event.start_mark)}")
            self._keys[-1] = value
        else:
            self._put(scalar(value) if event.implicit[0] else value)

    def _open(self, event: Any, container: Any) -> None:
        _refuse_extras(event)
        if self._at_key():
            raise MalformedYaml(f"a key must be a text{_place(event.start_mark)}")
        if len(self._stack) >= MAX_DEPTH:
            raise MalformedYaml(f"it is nested more than {MAX_DEPTH} levels deep{_place(event.start_mark)}")
        self._put(container)
        self._stack.append(container)
        self._keys.append(None)

    def _put(self, value: Any) -> None:
        if not self._stack:
            self.root = value
        elif type(self._stack[-1]) is dict:
            self._stack[-1][self._keys[-1]] = value
            self._keys[-1] = None
        else:
            self._stack[-1].append(value)


def _refuse_extras(event: Any) -> None:
    if event.anchor is not None:
        raise MalformedYaml(f"anchors and aliases are not taken{_place(event.start_mark)}")
    if event.tag is not None:
        raise MalformedYaml(f"tags ({event.tag!r:.40}) are not taken{_place(event.start_mark)}")


def _place(mark: Any) -> str:
    return "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"


def scalar(text: str) -> Any:
    """What a plain scalar is: a number only when writing it again gives the same text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.match(text):
        number = int(text)
        return number if str(number) == text else text
    if _NUMBER.match(text):
        floating = float(text)
        return floating if repr(floating) == text else text
    return text


def encode_scalar(value: Any) -> str:
    """JSON types -> YAML that every reader takes for the same: texts are quoted unless they are plain words."""
    if type(value) is str:
        if _PLAIN.match(value) and value.lower() not in _AMBIGUOUS:
            return value
        return _ESCAPED.sub(_escape, msgspec.json.encode(value).decode())
    if type(value) is float:
        return repr(value)
    return _ESCAPED.sub(_escape, msgspec.json.encode(value).decode())


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04X}"
