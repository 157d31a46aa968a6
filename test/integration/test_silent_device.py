"""A device that accepts connections and then answers nothing, as with a wrong unit id, must not look healthy."""

from __future__ import annotations

import logging

import pytest

from pydatacoll.health.diagnosis import Diagnosis
from pydatacoll.manager import runner as runners
from pydatacoll.model import Quality
from pydatacoll.settings import Settings
from pydatacoll.testing.faults import Fault
from test.integration.test_manager import plc, system, until

__all__ = ["plc", "system"]

SILENCE = Fault("silence")
FAST = {"timeout": 0.03, "retries": 0}


@pytest.fixture
def attempts(monkeypatch):
    """Number of the attempt at each loss of a link; every connection counts as old."""
    seen = []

    def record(attempt, *_):
        seen.append(attempt)
        return 0.01

    monkeypatch.setattr(runners, "backoff", record)
    monkeypatch.setattr(runners, "STEADY", 0.0)
    return seen


async def test_it_keeps_its_error_and_is_tried_with_growing_pauses_until_it_answers(system, plc, attempts, caplog):
    caplog.set_level(logging.INFO, "pydatacoll.manager.link_log")
    plc.faults.add(SILENCE)
    await system.start()
    await system.add(port=plc.port, **FAST)
    await until(lambda: len(attempts) >= 5)
    assert attempts[:5] == [1, 2, 3, 4, 5]
    runner = system.manager.runners["dev"]
    await until(lambda: runner.link.state == "connected")
    assert "check the unit id (address of the term, here 1)" in runner.link.last_error
    assert runner.detail()["bad_points"] == 1
    # told once, not with every connection
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[0] == "device dev: connected"
    # and once something was read all is well, and the next loss begins anew
    plc.faults.clear()
    await system.wait_value(0)
    await until(lambda: runner.link.state == "connected" and runner.link.last_error is None)

    async def told():
        link = await system.link()
        return link.state == "connected" and link.last_error is None

    await until(told)
    assert caplog.records[-1].getMessage() == "device dev: connected"
    assert runner.detail()["bad_points"] == 0
    before = len(attempts)
    plc.drop()
    await until(lambda: len(attempts) > before)
    assert attempts[before] == 1


async def test_a_device_that_falls_silent_is_told_apart_from_one_that_never_answered(system, plc, attempts):
    await system.start()
    await system.add(port=plc.port, **FAST)
    await system.wait_value(0)
    plc.faults.add(SILENCE)
    runner = system.manager.runners["dev"]
    await until(lambda: attempts)
    assert runner.link.last_error.startswith("half-open: ")


async def test_without_points_a_new_connection_is_good_at_once(system, plc, attempts):
    await system.start()
    await system.add(port=plc.port, points=(), **FAST)
    runner = await until(lambda: system.manager.runners.get("dev"))
    for expected in (1, 2):
        await until(lambda: runner.link.state == "connected" and plc.connections)
        assert runner.link.last_error is None
        plc.drop()
        await until(lambda expected=expected: len(attempts) == expected)
    assert attempts == [1, 1]


async def test_a_change_of_the_points_is_tried_without_waiting(system, plc, monkeypatch):
    monkeypatch.setattr(runners, "backoff", lambda *_: 3600.0)
    plc.faults.add(Fault("silence", address=0))
    await system.start()
    await system.add(port=plc.port, **FAST)

    async def waits():
        return (await system.link()).state == "backoff"

    await until(waits)
    change = {"protocol_code": "hr:8"}
    await system.repository.transact(lambda tx: tx.merge("term_item", ("devt", "i0"), change))
    await system.wait_value(0)


async def test_the_diagnosis_names_it(system, plc, attempts, tmp_path):
    plc.faults.add(SILENCE)
    await system.start()
    await system.add(port=plc.port, points=("hr:0", "hr:1"), **FAST)
    runner = await until(lambda: system.manager.runners.get("dev"))
    await until(lambda: len(attempts) >= 2)
    system.manager._status.detail("dev", runner.detail())
    await system.manager._status.flush()
    settings = Settings(data_dir=str(tmp_path))
    diagnosis = Diagnosis(settings, None, system.store, system.status)
    found = {check.check: check for check in await diagnosis.checks(lambda: system.repository.registry)}
    assert found["points"].status == "warning"
    assert found["points"].detail.startswith("2 of 2 have a bad quality; dev: 2 of 2 (nothing is answered: ")
    assert (await system.sample()).quality == Quality.COMM_LOST
