"""Which changes of a link are events."""

from __future__ import annotations

from pydatacoll.store.link_events import MOST, PERIOD, LinkEvents


def _texts(events: LinkEvents, *states: tuple[str, str | None]) -> list[str]:
    found = [events.take("d", *state) for state in states]
    return [event.text for event in found if event is not None]


def test_a_device_that_is_lost_and_comes_back() -> None:
    assert _texts(
        LinkEvents(),
        ("connecting", None),
        ("connected", None),
        ("connected", None),
        ("backoff", "no answer"),
        ("connecting", "no answer"),
        ("backoff", "no answer"),
        ("connecting", "no answer"),
        ("connected", "no answer"),
        ("connected", None),
    ) == ["device d is lost: no answer", "device d is connected again"]


def test_a_device_that_was_never_reached() -> None:
    states = [("connecting", None), ("backoff", "refused"), ("backoff", "refused"), ("connected", None)]
    assert _texts(LinkEvents(), *states) == ["device d cannot be reached: refused", "device d is connected again"]


def test_a_gateway_that_accepts_and_does_not_answer_is_not_there_again() -> None:
    states = [("backoff", "silent"), ("connected", "silent"), ("backoff", "silent")]
    assert _texts(LinkEvents(), *states) == ["device d cannot be reached: silent"]


def test_switching_a_device_off_is_no_loss() -> None:
    events = LinkEvents()
    assert _texts(events, ("connected", None), ("disabled", None), ("connecting", None), ("connected", None)) == []


def test_a_device_that_comes_and_goes_does_not_fill_the_log() -> None:
    now = 0.0
    events = LinkEvents(lambda: now)
    flapping = [("connected", None), ("backoff", "x")] * 50
    texts = _texts(events, *flapping)
    assert len(texts) == MOST
    assert texts[-1].endswith("; it comes and goes: what follows within 10 minutes is not listed")
    now = PERIOD + 1
    assert _texts(events, ("connected", None)) == ["device d is connected again"]
