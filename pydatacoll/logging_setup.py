"""What is logged and how: events on standard error, times in UTC.

For people one line per event, with a traceback indented below it; for programs one JSON object a line. Neither
shows a secret, and neither can be forged or garbled by what is logged: names, paths and errors come from outside.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TextIO

import msgspec

from pydatacoll.config_text import masked, scrub
from pydatacoll.settings import LogSettings

LONGEST = 20_000
"""Characters of a message that are logged."""
WINDOW = 60.0
"""Seconds for which repeated messages are counted instead of logged."""
SAME = 3
"""Identical messages logged in a window."""
ALIKE = 50
"""Messages of one kind, which differ only in what they are about, logged in a window."""
KINDS = 2000
"""Messages remembered at most."""

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Ends a line, moves the cursor, turns the direction of text, or is no character."""
_COLOURS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


def setup_logging(settings: LogSettings, secrets: Iterable[str] = ()) -> None:
    """Send everything of at least ``log.level`` to standard error. Calling it again replaces the setup.

    Libraries are logged from ``warning`` on, unless the level is ``debug``: their own chatter says nothing to
    an operator. Python warnings and exceptions that nobody caught go the same way.

    :param secrets: texts that are masked wherever they turn up, besides passwords of URLs and tokens.
    """
    terminal = sys.stderr.isatty()
    formatter: logging.Formatter
    if settings.format == "text" or (settings.format == "auto" and terminal):
        formatter = TextFormatter(secrets, colour=terminal and _wants_colour(os.environ))
    else:
        formatter = JsonFormatter(secrets)
    level = logging.getLevelName(settings.level.upper())
    handler = LimitedHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level if level <= logging.DEBUG else max(level, logging.WARNING))
    for name in ("pydatacoll", "pydatacoll_plugins"):
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught


def _wants_colour(environment: Mapping[str, str]) -> bool:
    """See https://no-color.org."""
    return not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger("pydatacoll").critical("ended by a bug", exc_info=(kind, error, trace))


def plain(text: str) -> str:
    """A text on one line, in which control characters are visible."""
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


def message_of(record: logging.LogRecord) -> str:
    """Also of a call whose arguments do not fit its text: that is no reason to lose it."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} {record.args}"


class _Formatter(logging.Formatter):
    """What both formats have in common."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def _time(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{moment}.{int(record.msecs):03d}Z"

    def _message(self, record: logging.LogRecord) -> str:
        text = message_of(record)
        if len(text) > LONGEST:
            text = f"{text[:LONGEST]}... ({len(text)} characters)"
        return scrub(text, self._secrets)

    def _trace(self, record: logging.LogRecord) -> str:
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        parts = [record.exc_text or "", self.formatStack(record.stack_info) if record.stack_info else ""]
        return scrub("\n".join(part for part in parts if part), self._secrets)


class TextFormatter(_Formatter):
    """``TIME LEVEL LOGGER: MESSAGE``; a traceback follows indented, so that no line can pass for another event."""

    def __init__(self, secrets: Iterable[str] = (), *, colour: bool = False) -> None:
        super().__init__(secrets)
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        level = f"{record.levelname:<7}"
        if self._colour:
            level = f"\x1b[{_COLOURS.get(record.levelname, '0')}m{level}\x1b[0m"
        message = self._message(record)
        device = getattr(record, "device", None)
        if device is not None and f"device {device}" not in message:
            message = f"device {device}: {message}"
        line = f"{self._time(record)} {level} {record.name}: {plain(message)}"
        trace = self._trace(record)
        return "\n".join([line, *(f"    {plain(part)}" for part in trace.splitlines())])


class JsonFormatter(_Formatter):
    """One JSON object: ``time level logger message``, ``exception`` with its traceback, and what the event is
    about (``device``)."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": self._time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._message(record),
            "pid": record.process,
        }
        for name, value in record.__dict__.items():
            if name not in _STANDARD and name not in entry:
                shown = value if isinstance(value, (str, int, float, bool)) or value is None else str(value)
                shown = masked(shown, name)
                entry[name] = scrub(shown, self._secrets) if isinstance(shown, str) else shown
        if trace := self._trace(record):
            entry["exception"] = trace
        text = msgspec.json.encode(_encodable(entry)).decode()
        return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _encodable(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Bytes that are not UTF-8 come as lone surrogates, which JSON cannot carry."""
    return {
        name: value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
        for name, value in entry.items()
    }


@dataclass(slots=True)
class _Window:
    """Messages of one kind since ``start``; ``held`` were counted only, ``last`` is one of them."""

    start: float
    passed: int = 0
    held: int = 0
    last: logging.LogRecord | None = None


class Limit:
    """Decides what is logged and what is only counted, so that nothing floods the log.

    At most :data:`SAME` identical messages and :data:`ALIKE` of one kind are logged in a :data:`WINDOW`; after it
    one line tells how many more there were. ``debug`` is not limited.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, int, str, bool], _Window] = {}  # oldest first

    def takes(self, record: logging.LogRecord) -> bool:
        """Whether to log this one."""
        if record.levelno <= logging.DEBUG:
            return True
        same = (record.name, record.levelno, message_of(record)[:LONGEST], True)
        alike = (record.name, record.levelno, str(record.msg), False)
        return self._counts(same, SAME, record) and self._counts(alike, ALIKE, record)

    def _counts(self, key: tuple[str, int, str, bool], most: int, record: logging.LogRecord) -> bool:
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window(self._clock())
        if window.passed >= most:
            window.held += 1
            window.last = record
            return False
        window.passed += 1
        return True

    def ended(self, *, everything: bool = False) -> Iterator[logging.LogRecord]:
        """What is to be said about windows that are over."""
        over = self._clock() - WINDOW
        while self._windows:
            key = next(iter(self._windows))
            window = self._windows[key]
            if window.start > over and len(self._windows) <= KINDS and not everything:
                return
            del self._windows[key]
            if window.last is not None:
                yield _summary(window.last, window.held, identical=key[3])


def _summary(last: logging.LogRecord, held: int, *, identical: bool) -> logging.LogRecord:
    message = message_of(last)
    text = f"{message} ({held} more times)" if identical else f"{held} more messages of this kind, last: {message}"
    return logging.makeLogRecord(
        {"name": last.name, "levelno": last.levelno, "levelname": last.levelname, "msg": text, "repeated": held}
    )


class LimitedHandler(logging.StreamHandler[TextIO]):
    """Writes to a stream what its :class:`Limit` lets pass."""

    def __init__(self, stream: TextIO, limit: Limit | None = None) -> None:
        super().__init__(stream)
        self._limit = limit or Limit()

    def emit(self, record: logging.LogRecord) -> None:
        for summary in self._limit.ended():
            super().emit(summary)
        if self._limit.takes(record):
            super().emit(record)

    def close(self) -> None:
        """Say what was counted and not told yet."""
        for summary in self._limit.ended(everything=True):
            super().emit(summary)
        super().close()
