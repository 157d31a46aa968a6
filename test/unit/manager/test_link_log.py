"""Links in the log: every change is told, but nothing floods."""

from __future__ import annotations

import logging

import pytest

from pydatacoll.manager.link_log import PER_DEVICE, PERIOD, TOGETHER, LinkLog


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def links(clock: Clock, caplog: pytest.LogCaptureFixture) -> LinkLog:
    caplog.set_level(logging.INFO)
    return LinkLog(clock)


def test_a_link_that_comes_and_goes_now_and_then_is_told_each_time(
    links: LinkLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        links.connected("d")
        links.lost("d", "reset", was_up=True)
        clock.now += PERIOD + 1
    assert [record.getMessage() for record in caplog.records] == ["device d: connected", "device d: reset"] * 3
    assert {record.device for record in caplog.records} == {"d"}  # type: ignore[attr-defined]
    assert links.summary() is None


def test_attempts_that_fail_alike_are_told_once(links: LinkLog, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(100):
        links.lost("d", "refused", was_up=False)
    assert len(caplog.records) == 1
    assert links.summary() is None


def test_a_flapping_device_is_told_a_few_times_and_then_in_the_summary(
    links: LinkLog, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        links.connected("d")
        links.lost("d", "reset", was_up=True)
    assert len(caplog.records) == PER_DEVICE
    assert links.summary() == (
        "1 devices lost their link, 1 connected in the last minute; worst: d (100 times: reset)"
    )
    assert links.summary() is None


def test_a_thousand_devices_lost_at_once_are_some_lines_and_a_summary(
    links: LinkLog, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1000):
        links.lost(f"d{number}", "no route", was_up=True)
    for number in range(30):
        links.connected(f"d{number}")
    assert len(caplog.records) == TOGETHER
    summary = links.summary()
    assert summary is not None
    assert summary.startswith(
        "1000 devices lost their link, 30 connected in the last minute; worst: d0 (1 times: no"
    )


def test_devices_that_never_connected_are_summed_up_too(links: LinkLog) -> None:
    for number in range(100):
        links.lost(f"d{number}", "no route", was_up=False)
    assert links.summary() == (
        "0 devices lost their link, 0 connected in the last minute; 100 cannot be reached: d0 (no route), ..."
    )


def test_a_deleted_device_is_forgotten(links: LinkLog, caplog: pytest.LogCaptureFixture) -> None:
    links.lost("d", "refused", was_up=True)
    links.forget("d")
    links.lost("d", "refused", was_up=False)
    assert len(caplog.records) == 2


def test_what_was_held_back_of_deleted_devices_makes_no_summary(links: LinkLog) -> None:
    for _ in range(PER_DEVICE):
        links.connected("d")
        links.lost("d", "reset", was_up=True)
    links.forget("d")
    assert links.summary() is None
