"""JSON and YAML documents -> objects as they are given."""

from __future__ import annotations

import codecs
from difflib import get_close_matches
from typing import Any, NoReturn

from pydatacoll.bulk.document import MOST, Document, Malformed, TooLarge, nothing_given
from pydatacoll.bulk.write import FORMAT_VERSION, SECTIONS
from pydatacoll.codec import json, yaml
from pydatacoll.model.load import Fault, Given
from pydatacoll.model.steps import Progress, Steps

_CHUNK = 262_144
"""Bytes decoded between two stops: less than a millisecond."""
_FRAME = 10
"""The outer object and its lists, or a few more."""
MOST_UNKNOWN = 100
"""Faults of the outer object: looking for names that were meant takes its time."""
_SPACE = " \t\n\r"


def read_yaml(raw: bytes, progress: Progress) -> Steps[Document]:
    """
    :raises Malformed: for what is no YAML document, see :mod:`pydatacoll.codec.yaml`.
    """
    progress.total = len(raw)

    def at(place: int) -> None:
        progress.done = place

    try:
        content = yield from yaml.decode_steps(raw, at)
    except yaml.MalformedYaml as error:
        raise Malformed(str(error)) from None
    if not raw.strip():
        raise Malformed("it is empty")
    document = _Builder()
    if not isinstance(content, dict):
        document.fault("document", "", f"expected a mapping with {', '.join(SECTIONS)}")
        return document.done()
    for name, section in content.items():
        if document.begin(name, section):
            for payload in section:
                document.add(payload)
                yield
    return document.done()


def read_json(raw: bytes, progress: Progress) -> Steps[Document]:
    """Read object by object, as decoding a large document at once would hold up everything else.

    :raises Malformed: for what is no JSON document.
    """
    progress.total = len(raw)
    if raw.count(b"{") + raw.count(b"[") > MOST + _FRAME:
        raise TooLarge(f"it has more than {MOST} objects and lists")
    text = yield from _decode(raw)
    return (yield from _JsonReader(text, progress).read())


def _decode(raw: bytes) -> Steps[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    parts = []
    try:
        for start in range(0, len(raw), _CHUNK):
            parts.append(decoder.decode(raw[start : start + _CHUNK]))
            yield
        parts.append(decoder.decode(b"", final=True))
    except UnicodeDecodeError as error:
        line = sum(part.count("\n") for part in parts) + 1
        raise Malformed(f"it is not UTF-8 ({error.reason}, after line {line})") from None
    return "".join(parts)


class _Builder:
    """Sorts what comes into kinds, and notes what does not belong there."""

    def __init__(self) -> None:
        self._document = Document(nothing_given(), [])
        self._section = ""
        self._count = 0

    def fault(self, kind: str, field: str, message: str, row: int = 0) -> None:
        if len(self._document.faults) >= MOST_UNKNOWN:
            raise Malformed(f"it has more than {MOST_UNKNOWN} members that are not known here")
        self._document.faults.append(Fault(row, kind, "", field, message))

    def begin(self, name: str, section: Any) -> bool:
        """A member of the document; whether objects follow."""
        if name == "pydatacoll":
            if section != FORMAT_VERSION or isinstance(section, bool):
                self.fault("document", name, f"this release reads version {FORMAT_VERSION} of the format")
            return False
        if name not in SECTIONS:
            near = get_close_matches(name, SECTIONS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            self.fault("document", ascii(name).strip("'")[:80], f"unknown member{hint}")
            return False
        if section is not None and not isinstance(section, list):
            self.fault("document", name, "must be a list")
            return False
        self._section = name
        return section is not None

    def add(self, payload: Any) -> None:
        """An object of the present section."""
        kind = SECTIONS[self._section]
        self._count += 1
        if self._count > MOST:
            raise TooLarge(f"it has more than {MOST} objects")
        objects = self._document.given[kind]
        objects.append(Given(kind, len(objects), payload))

    def done(self) -> Document:
        return self._document


class _JsonReader:
    """Walks the outer object by itself and leaves each element of its lists to the library."""

    def __init__(self, text: str, progress: Progress) -> None:
        self._text = text
        self._at = 0
        self._progress = progress

    def read(self) -> Steps[Document]:
        document = _Builder()
        seen: set[str] = set()
        if self._peek() == "":
            raise Malformed("it is empty")
        if self._peek() != "{":
            self._value()
            self._end()
            document.fault("document", "", f"expected an object with {', '.join(SECTIONS)}")
            return document.done()
        self._at += 1
        if self._peek() == "}":
            self._at += 1
        else:
            more = True
            while more:
                name = self._key(seen)
                if self._peek() == "[" and name in SECTIONS:
                    document.begin(name, [])
                    yield from self._elements(document)
                else:
                    document.begin(name, self._value())
                more = self._separator("}")
        self._end()
        return document.done()

    def _elements(self, document: _Builder) -> Steps[None]:
        self._at += 1
        if self._peek() == "]":
            self._at += 1
            return
        more = True
        while more:
            document.add(self._value())
            more = self._separator("]")
            self._progress.done = self._at
            yield

    def _key(self, seen: set[str]) -> str:
        if self._peek() != '"':
            self._fail("expected a name in quotes")
        name: str = self._value()
        if name in seen:
            self._fail(f"{name!r:.80} is repeated")
        seen.add(name)
        if self._peek() != ":":
            self._fail("expected ':'")
        self._at += 1
        return name

    def _peek(self) -> str:
        """The next character that is no blank; "" at the end."""
        text, at = self._text, self._at
        while text[at : at + 1] in _SPACE and at < len(text):
            at += 1
        self._at = at
        return text[at : at + 1]

    def _separator(self, end: str) -> bool:
        """Whether another element follows."""
        found = self._peek()
        if found not in (",", end) or not found:
            self._fail(f"expected ',' or '{end}'")
        self._at += 1
        return found == ","

    def _value(self) -> Any:
        self._peek()
        try:
            value, self._at = json.decode_at(self._text, self._at)
        except json.MalformedJson as error:
            message = str(error)
            raise Malformed(message if " (line " in message else f"{message} ({self._place()})") from None
        return value

    def _end(self) -> None:
        if self._peek():
            self._fail("something follows the end of the document")

    def _place(self) -> str:
        line = self._text.count("\n", 0, self._at) + 1
        return f"line {line}, column {self._at - self._text.rfind(chr(10), 0, self._at)}"

    def _fail(self, what: str) -> NoReturn:
        raise Malformed(f"{what} ({self._place()})")
