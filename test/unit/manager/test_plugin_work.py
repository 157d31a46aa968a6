"""Joining entries into batches, and cutting what fails."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.manager import plugin_work
from pydatacoll.manager.plugin_work import Buffer, Unreadable, Work
from pydatacoll.model import DeviceBatch
from pydatacoll.store.stream import Entry


def entry(number: int, *devices: DeviceBatch) -> Entry:
    return Entry(f"{number}-0", msgspec.msgpack.encode(devices), sum(map(len, devices)))


def numbered(first: int, count: int, *, columns: bool = False) -> DeviceBatch:
    values = list(range(first, first + count))
    return DeviceBatch(
        "d",
        [f"t:i{value}" for value in values],
        [float(value) for value in values] if columns else 1.0,
        values,
        list(values) if columns else 0,
    )


@st.composite
def works(draw: st.DrawFn) -> tuple[Work, int]:
    """Entries with samples numbered from 0, and how many there are."""
    entries, devices, count = [], [], 0
    for number, sizes in enumerate(
        draw(st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=1))
    ):
        batches = []
        for size in sizes:
            batches.append(numbered(count, size, columns=draw(st.booleans())))
            count += size
        entries.append(entry(number, *batches))
        devices.append(batches)
    return Work.of(entries, devices), count


def rows(work: Work) -> list[tuple[str, object]]:
    return [(str(point), sample.value) for point, sample in work.batch(3, 1).samples()]


@given(works())
def test_halves_are_the_whole_in_order_down_to_single_samples(made: tuple[Work, int]) -> None:
    whole, count = made
    leaves: list[Work] = []
    waiting = [whole]
    while waiting:
        work = waiting.pop()
        halves = work.halves()
        if halves is None:
            leaves.append(work)
            continue
        assert rows(halves[0]) + rows(halves[1]) == rows(work)
        assert len(halves[0]) + len(halves[1]) == len(work)
        waiting += reversed(halves)
    assert (
        [row for leaf in leaves for row in rows(leaf)] == rows(whole) == [(f"d:t:i{n}", n) for n in range(count)]
    )
    assert {len(leaf) for leaf in leaves} == {1}
    finished = [one for leaf in leaves for one in leaf.finished]
    assert finished == whole.finished == [(one.id, one.samples) for one in whole.entries]


def test_a_part_keeps_times_and_qualities_and_says_where_it_begins() -> None:
    work = Work.of([entry(1)], [[numbered(0, 2), numbered(2, 4, columns=True)]])
    first, second = work.halves() or pytest.fail("it can be cut")
    assert (first.finished, second.finished) == ([], [("1-0", 0)])
    batch = second.batch(0, 2)
    assert (batch.offset, batch.deliveries, batch.entries, batch.first_id) == (3, 2, [], "1-0")
    assert [(sample.time, sample.quality) for _, sample in batch.samples()] == [(3.0, 3), (4.0, 4), (5.0, 5)]
    assert [sample.time for _, sample in first.batch(0, 1).samples()] == [1.0, 1.0, 2.0]


def filled(*sizes: int) -> Buffer:
    buffer = Buffer()
    count = 0
    for number, size in enumerate(sizes):
        buffer.put([entry(number, numbered(count, size))])
        count += size
    return buffer


def test_entries_are_joined_up_to_a_size_and_never_cut() -> None:
    buffer = filled(2, 2, 3, 50, 1)
    taken = []
    while buffer:
        taken.append(len(buffer.take(6)))
    assert taken == [4, 3, 50, 1]


def test_the_rest_of_an_entry_comes_alone() -> None:
    buffer = filled(4, 1, 1)
    work = buffer.take(100, ("0-0", 3))
    assert [value for _, value in rows(work)] == [3]
    assert len(buffer.take(100, ("0-0", 3))) == 2


def test_what_cannot_be_read_is_taken_out_alone() -> None:
    buffer = filled(1)
    bad = Entry("5-0", b"\xff", 7)
    buffer.put([bad, entry(6, numbered(1, 1))])
    assert len(buffer.take(10)) == 1
    with pytest.raises(Unreadable) as caught:
        buffer.take(10)
    assert caught.value.entry == bad
    assert len(buffer.take(10)) == 1


def test_so_much_is_read_ahead_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin_work, "BUFFER", 1000)
    buffer = Buffer()
    while buffer.hungry(0):
        buffer.put([entry(len(buffer), numbered(0, 20))])
    assert 1 < len(buffer) < 30
    assert buffer.hungry(10_000)  # a batch of that size is wanted
    while buffer.hungry(10_000):
        buffer.put([entry(len(buffer), numbered(0, 20))])
    assert buffer.count == 4
    buffer.restart("7-0")
    assert (len(buffer), buffer.position, buffer.hungry(0)) == (0, "7-0", True)


def test_halves_of_late_samples_are_late() -> None:
    late = msgspec.structs.replace(numbered(0, 4), late=True)
    halves = Work.of([entry(0, late)], [[late]]).halves()
    assert halves is not None
    assert [one.late for half in halves for one in half.batch(3, 1).devices] == [True, True]
