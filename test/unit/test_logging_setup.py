"""What an operator sees on standard error."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys

import pytest

from pydatacoll.config_text import known_secrets, scrub
from pydatacoll.logging_setup import ALIKE, SAME, WINDOW, JsonFormatter, Limit, LimitedHandler, TextFormatter
from pydatacoll.settings import RedisSettings, Settings

SCRIPT = """
import logging, sys, warnings
from pydatacoll.logging_setup import setup_logging
from pydatacoll.settings import LogSettings

setup_logging(LogSettings(level="error"))
setup_logging(LogSettings(level=sys.argv[1], format=sys.argv[2]))
for name in ("pydatacoll.x", "pydatacoll_plugins.y", "library"):
    for level in ("debug", "info", "warning"):
        getattr(logging.getLogger(name), level)("said %s", level)
warnings.warn("mind this")
if len(sys.argv) > 3:
    raise ValueError("a bug with redis://u:hidden@h/0")
"""


def said(level: str, form: str = "text", *more: str) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, level, form, *more], capture_output=True, text=True, check=not more
    )
    assert run.stdout == ""
    return run.stderr.splitlines()


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (
            "debug",
            ["x DEBUG", "x INFO", "x WARNING", "y DEBUG", "y INFO", "y WARNING", "z DEBUG", "z INFO", "z WARNING"],
        ),
        ("info", ["x INFO", "x WARNING", "y INFO", "y WARNING", "z WARNING"]),
        ("warning", ["x WARNING", "y WARNING", "z WARNING"]),
        ("error", []),
    ],
)
def test_levels_of_ours_and_of_libraries(level: str, expected: list[str]) -> None:
    lines = [line for line in said(level) if ": said " in line]
    short = {"pydatacoll.x": "x", "pydatacoll_plugins.y": "y", "library": "z"}
    seen = [(line.split()[2].rstrip(":"), line.split()[1]) for line in lines]
    assert [f"{short[name]} {shown}" for name, shown in seen] == expected


def test_times_are_utc_and_warnings_are_logged() -> None:
    lines = said("warning")
    assert any("py.warnings" in line and "mind this" in line for line in lines)
    time = lines[0].split()[0]
    assert time[10] == "T"
    assert time[-5] == "."
    assert time.endswith("Z")


def test_without_a_terminal_every_line_is_a_json_object() -> None:
    entries = [json.loads(line) for line in said("info", "auto", "fail")]
    assert {"x", "y"} == {entry["logger"][-1] for entry in entries if entry["level"] == "info"}
    assert all({"time", "level", "logger", "message", "pid"} <= entry.keys() for entry in entries)
    last = entries[-1]
    assert last["level"] == "critical"
    assert "ValueError: a bug with redis://u:***@h/0" in last["exception"]


def test_what_nobody_caught_is_one_event_with_an_indented_traceback() -> None:
    lines = said("error", "text", "fail")
    assert lines[0].endswith("pydatacoll: ended by a bug")
    assert lines[1] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") for line in lines[1:])
    assert "hidden" not in "".join(lines)


def record(message: str, *args: object, level: int = logging.WARNING, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("pydatacoll.test", level, __file__, 1, message, args, None)
    made.__dict__.update(extra)
    return made


def failed(error: Exception) -> logging.LogRecord:
    made = record("it failed")
    made.exc_info = (type(error), error, None)
    return made


@pytest.mark.parametrize(
    "evil",
    [
        "d\n2026-11-21T00:00:00.000Z INFO    pydatacoll: all is well",
        "d\r\x1b[2Kgone",
        "a\u2028b",
        "a\x85b",
        "\u202eabc",
        "\x00\x07\x08\x7f\x9b31m",
        "lone \udc80 surrogate",
    ],
)
def test_names_and_errors_can_neither_forge_nor_hide_a_line(evil: str) -> None:
    text = TextFormatter().format(record("device %s: %s", evil, evil))
    assert len(text.splitlines()) == 1
    assert all(character.isprintable() for character in text)
    text.encode()
    first, *rest = TextFormatter().format(failed(ValueError(evil))).splitlines()
    assert first.endswith("it failed")
    assert all(line.startswith("    ") for line in rest)
    entry = JsonFormatter().format(record("device %s", evil, device=evil))
    assert len(entry.splitlines()) == 1
    assert json.loads(entry)["device"].startswith(evil[0] if evil[0] != "\udc80" else "")


def test_the_level_is_coloured_in_a_terminal_only() -> None:
    assert "\x1b[33mWARNING\x1b[0m" in TextFormatter(colour=True).format(record("x"))
    assert "\x1b" not in TextFormatter().format(record("x"))


def test_what_an_event_is_about_is_a_field_and_stands_in_the_text_once() -> None:
    assert json.loads(JsonFormatter().format(record("away", device="d1")))["device"] == "d1"
    assert TextFormatter().format(record("away", device="d1")).endswith(": device d1: away")
    assert TextFormatter().format(record("device %s: away", "d1", device="d1")).endswith(": device d1: away")


def test_arguments_that_do_not_fit_lose_nothing() -> None:
    assert "a %d ('x',)" in TextFormatter().format(record("a %d", "x"))


@pytest.mark.parametrize(
    "text",
    [
        "cannot reach redis://user:s3cret@10.0.0.1:6379/0",
        "unix://:s3cret@/run/redis.sock",
        "Authorization: Bearer s3cret",
        "bearer  s3cret, and more",
        "the token pdc_s3cret_-x is refused",
        "rediss://h/0?password=s3cret&db=1",
        "known: s3cret",
    ],
)
def test_no_secret_is_logged(text: str) -> None:
    for formatter in (TextFormatter(["s3cret"]), JsonFormatter(["s3cret"])):
        for made in (record("%s", text), record(text.replace("%", "%%")), failed(ValueError(text))):
            assert "s3cret" not in formatter.format(made)
    if "known" not in text:
        assert "s3cret" not in scrub(text)
    assert "s3cret" not in JsonFormatter(["s3cret"]).format(record("x", url=text, password="p"))
    assert '"p"' not in JsonFormatter().format(record("x", password="p"))


def test_the_secrets_of_the_settings_are_known() -> None:
    settings = Settings(
        redis=RedisSettings(url="rediss://u:p%40ssword@h/0"),
        plugin={"db": {"url": "mysql://u:other-one@h/db", "api_token": "abcdef", "table": "plain"}},
    )
    assert set(known_secrets(settings)) == {"p%40ssword", "p@ssword", "other-one", "abcdef"}


def test_a_very_long_text_is_masked_quickly_and_shortened() -> None:
    text = TextFormatter().format(record("%s", "a" * 200_000 + "://" + "b:" * 50_000))
    assert len(text) < 21_000


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_repeated_message_is_counted_and_told_once_a_minute(clock: Clock) -> None:
    stream = io.StringIO()
    handler = LimitedHandler(stream, Limit(clock))
    for _ in range(100):
        handler.handle(record("the store is away: %s", "refused"))
    assert stream.getvalue() == "the store is away: refused\n" * SAME
    clock.now = WINDOW + 1
    handler.handle(record("something else"))
    assert stream.getvalue().splitlines()[SAME:] == [
        f"the store is away: refused ({100 - SAME} more times)",
        "something else",
    ]
    handler.handle(record("the store is away: %s", "refused"))
    assert stream.getvalue().splitlines()[-1] == "the store is away: refused"


def test_many_messages_of_one_kind_are_counted_and_told_at_the_end(clock: Clock) -> None:
    stream = io.StringIO()
    handler = LimitedHandler(stream, Limit(clock))
    for number in range(1000):
        handler.handle(record("device %d: new plan", number))
    assert len(stream.getvalue().splitlines()) == ALIKE
    handler.close()
    assert stream.getvalue().splitlines()[-1] == (
        f"{1000 - ALIKE} more messages of this kind, last: device 999: new plan"
    )


def test_debug_is_not_limited_and_the_memory_of_the_limit_is(clock: Clock) -> None:
    limit = Limit(clock)
    assert all(limit.takes(record("same", level=logging.DEBUG)) for _ in range(100))
    for number in range(10_000):
        limit.takes(record(f"text {number}"))
        list(limit.ended())
    assert len(limit._windows) < 2100
