"""Formulas as they are calculated: when, in which order, with which inputs and which time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from itertools import count
from typing import Any

import pytest

from pydatacoll.errors import TryLater
from pydatacoll.testing.model import term_item

from .formula_rig import COMM_LOST, INVALID, STALE, Rig, joined


async def test_a_formula_is_evaluated_when_an_input_changes() -> None:
    rig = await Rig(va="xa + xb").start()
    assert await rig.put(("xa", 1, 2.0)) == [("va", 1.0, None, INVALID)]  # the other one has no value yet
    assert await rig.put(("xb", 2, 3.0)) == [("va", 2.0, 5.0)]
    assert await rig.put(("xc", 3, 9.0)) == []
    assert await rig.put(("xa", 3, 4.0, COMM_LOST)) == [("va", 3.0, 7.0, COMM_LOST)]


async def test_once_for_what_came_together() -> None:
    rig = await Rig(va="xa + xb", vb="xa * 2").start()
    found = await rig.put(("xa", 2, 5), ("xb", 2, 7), ("xc", 2, 1))
    assert found == [("va", 2.0, 12), ("vb", 2.0, 10)]
    assert rig.plugin.status()["evaluations"] == 2 + 2  # once more each when they were new


async def test_each_reading_has_its_own_results_when_several_come_together() -> None:
    """As after the store was away: the results are those of an undisturbed run."""
    rows = [(name, time, value) for time, value in ((1, 1), (2, 5), (3, 5), (4, 2)) for name in ("xa", "xb")]
    one_by_one, together = [await Rig(va="xa + xb", vb="va - xa[-2]").start() for _ in range(2)]
    for start in range(0, len(rows), 2):
        await one_by_one.put(*rows[start : start + 2])
    await together.put(*rows)
    assert together.results == one_by_one.results
    assert [row[:3] for row in together.results if row[0] == "va"] == [
        ("va", 1.0, 2), ("va", 2.0, 10), ("va", 3.0, 10), ("va", 4.0, 4)
    ]  # fmt: skip
    # and when they are packets of their own in one entry
    packets = await Rig(va="xa + xb", vb="va - xa[-2]").start()
    batch = packets.batch(*rows[:2], stored=True)
    batch.devices.extend(packets.batch(*rows[n : n + 2], stored=True).devices[0] for n in (2, 4, 6))
    await packets.handle(batch)
    assert packets.results == one_by_one.results


async def test_formulas_of_formulas_go_in_the_same_pass() -> None:
    rig = await Rig(va="vb + vc", vb="xa * 2", vc="vb + 1", vd="va + xa").start()
    assert await rig.put(("xa", 1, 1)) == [("vb", 1.0, 2), ("vc", 1.0, 3), ("va", 1.0, 5), ("vd", 1.0, 6)]
    # what comes back by the stream is known
    assert await rig.put(("va", 1, 5), ("vb", 1, 2)) == []


async def test_inputs_of_several_partitions() -> None:
    rig = await Rig(va="xa + ya").start()
    await rig.put(("xa", 1, 1))
    assert await rig.put(("ya", 2, 10)) == [("va", 2.0, 11)]
    assert await rig.put(("xa", 3, 2)) == [("va", 3.0, 12)]


async def test_joined_entries_give_the_same_as_single_ones() -> None:
    single, together = await Rig(va="xa + xb").start(), await Rig(va="xa + xb").start()
    rows = [[("xa", n, n), ("xb", n, 2 * n)] for n in range(1, 9)]
    for row in rows:
        await single.put(*row)
    await together.handle(joined(*(together.batch(*row) for row in rows)))
    assert single.results == together.results
    assert len(single.results) == 8


async def test_a_new_formula_takes_its_first_value_from_the_history() -> None:
    rig = await Rig().start()
    rig.seen(("xa", 1, 1), ("xa", 2, 5), ("xb", 3, 7))
    rig.formula("va", "xa[-2] + xa + xb")
    await rig.tick()
    assert rig.results == [("va", 3.0, 13)]
    await rig.tick()
    assert len(rig.results) == 1


async def test_a_formula_without_parameters() -> None:
    rig = await Rig(va="6 * 7").start()
    assert rig.results == [("va", 1000.0, 42)]
    await rig.restart()
    await rig.tick(1)
    assert len(rig.results) == 1


async def test_a_formula_whose_inputs_never_had_a_value_says_nothing() -> None:
    rig = await Rig(va="xa + 1", vb="default(xa, 7)").start()
    assert rig.results == [("vb", 1000.0, 7)]
    assert "xa" not in str(rig.plugin.status()["shown"]["vb"])
    assert rig.plugin.status()["shown"]["va"]["error"] is not None
    assert rig.plugin.status()["without_value"] == 1


async def test_windows_move_with_the_time() -> None:
    rig = await Rig(va="max(xa, '10s')").start()
    await rig.put(("xa", 998, 5.0))
    await rig.put(("xa", 1000, 1.0))
    assert rig.results[-1] == ("va", 1000.0, 5.0)
    await rig.tick(1)
    assert rig.results[-1] == ("va", 1000.0, 5.0)  # the same value again is none
    await rig.tick(10)
    assert rig.results[-1] == ("va", 1011.0, 1.0)


async def test_what_is_behind_is_evaluated_as_of_its_own_time() -> None:
    """An hour of entries that waited: windows are those of then, and no tick comes in between."""
    rig = await Rig(va="count(xa, '10s')").start()
    await rig.put(("xa", 1000, 1))
    first = rig.batch(("xa", 1001, 1))
    rig.now += 3600
    await rig.restart(ticks=1)
    await rig.handle(first)
    await rig.tick()
    assert rig.results[-1] == ("va", 1001.0, 2)
    await rig.tick(1)
    await rig.tick(1)
    assert rig.results[-1] == ("va", rig.now, 0)


async def test_late_samples_count_in_windows_and_change_nothing_else() -> None:
    rig = await Rig(va="xa", vb="count(xa, '1h')").start()
    await rig.put(("xa", 990, 1))
    await rig.put(("xa", 995, 2))
    rig.results.clear()
    rig.now += 1
    await rig.put(("xa", 992, 9), late=True)
    assert rig.results == [("vb", 1001.0, 3)]


async def test_a_clock_that_is_set_back() -> None:
    rig = await Rig(va="xa").start()
    await rig.put(("xa", 5000, 1))
    rig.now += 100  # what comes now was not loaded
    assert await rig.put(("xa", 1400, 2)) == [("va", 1400.0, 2)]
    assert await rig.put(("xa", 1401, 3)) == [("va", 1401.0, 3)]


async def test_two_results_of_one_moment_have_times_of_their_own() -> None:
    rig = await Rig(va="xa + ya").start()
    await rig.put(("xa", 10, 1))
    await rig.put(("ya", 10, 1))
    await rig.put(("xa", 10, 2))
    times = [result[1] for result in rig.results]
    assert times == pytest.approx([10.0, 10.000001, 10.000002], abs=2e-7)
    assert [result[2] for result in rig.results] == [None, 2, 3]


@pytest.mark.parametrize("cut", range(7))
async def test_a_sudden_death_changes_nothing(cut: int) -> None:
    """The history shows all; what was not acknowledged comes again."""
    formulas = {"va": "xa + xb", "vb": "va[-2] + xa[-3]", "vc": "sum(xa, '1h')", "vd": "va * 2"}
    entries = [[("xa", n, n)] if n % 2 else [("xb", n, n), ("xa", n, 3 * n)] for n in range(1, 8)]
    whole, broken = await Rig(**formulas).start(), await Rig(**formulas).start()
    for entry in entries:
        await whole.put(*entry)
    batches = [broken.batch(*entry, stored=True) for entry in entries]
    for batch in batches[:cut]:
        await broken.handle(batch)
    await broken.plugin.handle(batches[cut])  # and dies before the commit
    await broken.restart(ticks=cut % 3)
    for batch in batches[cut:]:
        await broken.handle(batch)
    assert broken.results == whole.results


async def test_many_samples_in_windows_survive_in_chunks() -> None:
    formulas = {"va": "count(xa, '300s')", "vb": "xa[-200]"}
    whole, broken = await Rig(**formulas).start(), await Rig(**formulas).start()
    for n in range(1, 500):
        for rig in (whole, broken):
            rig.now = 1000.0 + n
            rig.store.samples.clear()  # the history is short
            await rig.put(("xa", rig.now, n))
    assert len([key for key in broken.states[0] if key.startswith("x:x:a:")]) <= 7
    broken.store.samples.clear()
    await broken.restart(ticks=0)
    assert await broken.put(("xa", 1500, 0)) == await whole.put(("xa", 1500, 0))


async def test_a_batch_that_failed_leaves_nothing_behind() -> None:
    """The partition is begun anew after an error; what the failed batch had changed is gone."""
    rig = await Rig(va="xa + ya").start()
    await rig.put(("ya", 1, 1))
    await rig.put(("xa", 1, 1))
    await rig.plugin.handle(rig.batch(("xa", 5, 100)))
    await rig.plugin.partition_stopped(0)
    await rig.plugin.partition_started(0, dict(rig.states[0]))
    assert await rig.put(("ya", 6, 2)) == [("va", 6.0, 3)]


async def test_a_partition_that_is_not_here_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydatacoll_plugins.formula.PATIENCE", 0.01)
    rig = await Rig(va="xa + ya").start()
    await rig.plugin.partition_stopped(1)
    with pytest.raises(TryLater, match="partitions that are not here: 1"):
        await rig.plugin.handle(rig.batch(("xa", 1, 1)))


async def test_state_of_points_that_no_formula_uses_any_more_goes() -> None:
    rig = await Rig(va="xa + xb[-2]", vb="ya").start()
    await rig.put(("xa", 1, 1), ("xb", 1, 1))
    await rig.put(("ya", 1, 1))
    assert set(rig.states[0]) == {"x:x:a", "x:x:b:0"}
    rig.formula("va", "xb + 1")
    await rig.tick()
    assert set(rig.states[0]) == {"x:x:b"}
    rig.change(lambda tx: tx.delete("formula", "vb"))
    await rig.tick()
    assert rig.states[1] == {}
    assert await rig.put(("xb", 2, 5)) == [("va", 2.0, 6)]


async def test_a_changed_formula_keeps_what_is_known_of_its_inputs() -> None:
    rig = await Rig(va="xa").start()
    for n in range(1, 5):
        await rig.put(("xa", n, n))
    rig.formula("va", "xa + sum(xa, '1h') * 10")
    rig.now = 1001.0
    await rig.tick()
    assert rig.results[-1] == ("va", 1001.0, 4 + 100)
    await rig.restart()
    assert [result[2] for result in await rig.put(("xa", 5, 5))] == [155]


async def test_what_was_stored_before_it_was_refused_stops_nothing() -> None:
    rig = Rig(va="xa", vb="xa * 2")
    good = rig.registry.formulas["va"]
    for key, changes in {
        "bad": {"formula": "p0 +"},
        "nowhere": {"item_id": "nothing"},
        "read": {"device_id": "x", "term_id": "x", "item_id": "h"},
        "two": {},
        "circle": {"item_id": "c", "params": {"p0": "v:v:d"}},
        "circle2": {"item_id": "d", "params": {"p0": "v:v:c"}},
        "behind": {"item_id": "e", "params": {"p0": "v:v:c"}},
    }.items():
        fields = {name: getattr(good, name) for name in good.__struct_fields__}
        rig.registry.put_formula(type(good)(**{**fields, "id": key, **changes}))
    await rig.start()
    assert await rig.put(("xa", 1, 1)) == [("va", 1.0, 1), ("vb", 1.0, 2)]  # of the two the first by its id
    shown = {key: one["error"] for key, one in rig.plugin.status()["shown"].items()}
    assert shown["bad"].startswith("line 1, column 5")
    assert shown["nowhere"] == "its result v:v:nothing is no term item"
    assert shown["read"] == "its result x:x:h is read from its device"
    assert shown["va"] == "its result v:v:a is that of formula two, too"
    assert shown["circle"] == shown["circle2"] == "it depends on its own result"
    assert "p0" in shown["behind"]  # the point that it uses has no value
    assert rig.plugin.status()["refused"] == 6


async def test_results_by_exception() -> None:
    rig = await Rig(va="xa").start()
    rig.options("va", deadband=2.0, max_silence=10.0)
    for time, value in [(1, 10), (2, 11), (3, 12), (4, 13), (5, 12), (13.6, 12), (14, 12)]:
        await rig.put(("xa", time, value))
    assert rig.results == [("va", 1.0, 10), ("va", 4.0, 13), ("va", 13.6, 12)]
    assert await rig.put(("xa", 15, 12, COMM_LOST)) == [("va", 15.0, 12, COMM_LOST)]


async def test_a_result_waits_for_the_end_of_its_period() -> None:
    rig = await Rig(va="xa", vb="va + 1").start()
    rig.options("va", min_period=10.0)
    await rig.put(("xa", 1000, 1))
    await rig.put(("xa", 1003, 2))
    await rig.put(("xa", 1004, 3))
    assert rig.results == [("va", 1000.0, 1), ("vb", 1000.0, 2)]
    await rig.tick(5)
    assert len(rig.results) == 2
    await rig.tick(6)
    assert rig.results[2:] == [("va", 1004.0, 3), ("vb", 1004.0, 4)]


async def test_a_deleted_result_ends_its_formula() -> None:
    rig = await Rig(va="xa").start()
    rig.change(lambda tx: tx.delete("term_item", ("v", "a")))
    assert await rig.put(("xa", 1, 1)) == []
    rig.change(lambda tx: tx.create("term_item", term_item("v", "a")))
    rig.formula("va", "xa + 1")
    await rig.tick()
    assert rig.results == [("va", 1.0, 2)]


async def test_a_result_is_stale_when_no_sample_comes_and_until_one_does() -> None:
    rig = await Rig(va="xa + 1", vb="va * 2", vc="mean(xa, '1h')").start()
    for key in ("va", "vc"):
        rig.options(key, stale_after=5.0)
    await rig.put(("xa", 1000, 1))
    rig.results.clear()
    await rig.tick(4)
    assert [row for row in rig.results if row[0] != "vc"] == []
    await rig.tick(2)
    stale = {row[0]: row[2:] for row in rig.results}
    assert stale == {"va": (2, STALE), "vb": (4, STALE), "vc": (1.0, STALE)}
    rig.results.clear()
    await rig.tick(5)
    await rig.restart()
    assert rig.results == []  # it is stale, and nothing else has happened
    await rig.put(("xa", rig.now, 1))
    assert {row[0]: row[2:] for row in rig.results} == {"va": (2,), "vb": (4,), "vc": (1.0,)}


async def test_the_formulas_of_a_disabled_device_rest() -> None:
    rig = await Rig(va="xa").start()
    rig.change(lambda tx: tx.merge("device", "v", {"enabled": False}))
    assert await rig.put(("xa", 1, 1)) == []
    assert "disabled" in rig.plugin.status()["shown"]["va"]["error"]
    rig.change(lambda tx: tx.merge("device", "v", {"enabled": True}))
    await rig.tick()
    assert rig.results == [("va", 1.0, 1)]


# Long passes

WINDOWS = {f"v{key}": f"count({point}, '10s')" for key, point in zip("abcdef", ["xa", "ya"] * 3, strict=True)}
WINDOWS |= {"vg": "va + vb", "vh": "vg + ve"}


@pytest.fixture
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others get their turn after each evaluation."""
    monkeypatch.setattr("pydatacoll_plugins.formula.LOOKS", 1)
    monkeypatch.setattr("pydatacoll_plugins.formula.SLICE", -1.0)


async def windows() -> Rig:
    """Windows whose results are others by now."""
    rig = await Rig(**WINDOWS).start()
    await rig.put(("xa", 1000, 1))
    await rig.put(("ya", 1000, 1))
    rig.results.clear()
    rig.now += 20
    return rig


async def turns(work: Coroutine[Any, Any, Any]) -> int:
    """How often the loop came round meanwhile."""
    task = asyncio.create_task(work)
    for number in count():
        if task.done():
            await task
            return number
        await asyncio.sleep(0)
    raise AssertionError


@pytest.mark.usefixtures("short_slices")
async def test_others_get_their_turn_while_time_passes() -> None:
    rig = await windows()
    assert await turns(rig.tick()) >= len(WINDOWS)
    assert rig.results == [(name, 1020.0, 0) for name in WINDOWS]  # each once, in order


@pytest.mark.usefixtures("short_slices")
async def test_others_get_their_turn_in_a_batch() -> None:
    rig = await Rig(**{f"v{key}": f"xa + {n}" for n, key in enumerate("abcdefgh")}).start()
    assert await turns(rig.put(("xa", 1, 1), ("xa", 2, 2), ("xa", 3, 3))) >= 24
    assert [row[2] for row in rig.results] == [reading + n for reading in (1, 2, 3) for n in range(8)]


@pytest.mark.usefixtures("short_slices")
@pytest.mark.parametrize("after", range(1, 16))
async def test_partitions_come_and_go_between_passes(after: int) -> None:
    rig = await windows()
    task = asyncio.create_task(rig.plugin.tick(0, rig.now))
    for _ in range(after):
        await asyncio.sleep(0)
    assert not task.done()
    await rig.plugin.partition_stopped(1)
    assert task.done()
    rig.commit(0, task.result())
    await rig.plugin.partition_started(1, dict(rig.states[1]))
    assert rig.results == [(name, 1020.0, 0) for name in WINDOWS]
    await rig.tick()
    await rig.tick(1)
    assert len(rig.results) == len(WINDOWS)


@pytest.mark.usefixtures("short_slices")
@pytest.mark.parametrize("after", range(2, 16))
async def test_a_pass_that_is_broken_off_leaves_nothing_behind(after: int) -> None:
    """Its results were not committed: the next pass gives them."""
    rig = await windows()
    task = asyncio.create_task(rig.plugin.tick(0, rig.now))
    for _ in range(after):
        await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await rig.tick()
    assert sorted(rig.results) == [(name, 1020.0, 0) for name in WINDOWS]
    await rig.tick(1)
    assert len(rig.results) == len(WINDOWS)


async def test_a_long_pass_is_followed_by_as_long_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    work, clock = count(step=2), 100.0  # each pass takes two seconds
    rig = await Rig(va="count(xa, '10s')").start()
    monkeypatch.setattr("pydatacoll_plugins.formula.thread_time", lambda: next(work))
    monkeypatch.setattr("pydatacoll_plugins.formula.monotonic", lambda: clock)
    await rig.put(("xa", 1000, 1))
    await rig.tick(5)
    evaluations = rig.plugin.status()["evaluations"]
    clock += 1.9
    await rig.tick(20)
    assert rig.plugin.status()["evaluations"] == evaluations
    assert await rig.put(("xa", 1025, 1)) == [("va", 1025.0, 1)]  # what comes is not kept waiting
    clock += 0.2
    await rig.tick(20)
    assert rig.results[-1] == ("va", 1045.0, 0)
