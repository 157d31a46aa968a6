"""Which blocks are read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.protocols.modbus_tcp.planner import Holes, Span, extent, halves, plan

spans = st.lists(
    st.tuples(st.integers(0, 400), st.integers(1, 4)).map(lambda s: Span(s[0], s[0] + s[1])), max_size=120
)


def shape(result: list) -> list[tuple[int, int]]:
    return [(block.start, block.size) for block in result]


def test_neighbours_share_a_block_up_to_the_gap() -> None:
    points = [Span(0, 1), Span(17, 18), Span(35, 36)]
    assert shape(plan(points, max_gap=16, max_block=125)) == [(0, 18), (35, 1)]


def test_blocks_end_before_a_value_that_does_not_fit() -> None:
    floats = [Span(i, i + 2) for i in range(0, 200, 2)]
    assert shape(plan(floats, max_gap=0, max_block=125)) == [(0, 124), (124, 76)]


def test_nothing_gives_nothing() -> None:
    assert plan([], max_gap=1, max_block=1) == []


def test_a_learnt_gap_is_not_read_along_again() -> None:
    holes = Holes()
    holes.learn_boundary(3, 5)
    assert shape(plan([Span(0, 3), Span(5, 6)], max_gap=16, max_block=125, holes=holes)) == [(0, 3), (5, 1)]


def test_a_learnt_boundary_is_not_crossed_again() -> None:
    holes = Holes()
    holes.learn_boundary(62, 62)
    points = [Span(i, i + 1) for i in range(100)]
    assert shape(plan(points, max_gap=0, max_block=125, holes=holes)) == [(0, 62), (62, 38)]


@given(spans, st.integers(0, 20), st.integers(4, 125), st.data())
def test_every_point_once_within_limits_and_never_over_a_hole(
    points: list[Span], max_gap: int, max_block: int, data: st.DataObject
) -> None:
    holes = Holes(
        points=set(data.draw(st.lists(st.sampled_from(points), max_size=5))) if points else set(),
        gaps=set(data.draw(st.lists(st.integers(0, 404), max_size=10))),
        cuts=set(data.draw(st.lists(st.integers(1, 404), max_size=5))),
    )
    blocks = plan(points, max_gap=max_gap, max_block=max_block, holes=holes)
    covered = sorted(index for block in blocks for index in block.members)
    assert covered == [index for index, span in enumerate(points) if span not in holes.points]
    bad = holes.bad_registers()
    for block in blocks:
        whole = Span(block.start, block.start + block.size)
        assert whole == extent(points, block.members)
        assert block.size <= max_block
        own = {register for index in block.members for register in range(*points[index])}
        gaps = set(range(*whole)) - own
        assert not gaps & holes.gaps
        if len(block.members) > 1:
            assert not set(range(*whole)) & bad
            assert not any(whole.start < cut < whole.end for cut in holes.cuts)
        unused = run = 0
        for register in range(*whole):
            run = 0 if register in own else run + 1
            unused = max(unused, run)
        assert unused <= max_gap


@given(spans.filter(lambda points: len(points) > 1))
def test_halving_ends_and_loses_nothing(points: list[Span]) -> None:
    left, right = halves(points, range(len(points)))
    assert left
    assert right
    assert sorted(left + right) == list(range(len(points)))
    assert max(points[i].start for i in left) <= min(points[i].start for i in right)
