"""Whatever order things come in: what is shown in the end is how things are, and nothing is lost or doubled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.protocols.iec104 import elements as e
from test.unit.protocols.iec104.monitor_rig import MonitorRig

WAIT = st.tuples(st.just("wait"), st.sampled_from([0.01, 0.3, 1.0, 7.0, 100.0]))
STEPS = st.one_of(
    WAIT,
    st.tuples(st.just("change"), st.none()),
    st.tuples(st.just("deliver"), st.sampled_from(["oldest", "newest"])),
    st.tuples(st.just("ask"), st.none()),
    st.tuples(st.just("answer"), st.none()),
    st.tuples(st.just("cyclic"), st.none()),
    st.tuples(st.just("lose link"), st.none()),
)


class Station:
    """One point of a station: its changes, and the events of it that wait to be sent.

    ``error``: seconds by which its clock is wrong.
    """

    def __init__(self, error: float) -> None:
        self.rig = MonitorRig({1: "M_ME_TF_1"})
        self.rig.monitor.clock_changed(known=True)
        self.error = error
        self.value = 0.0
        self.answer: float | None = None
        self.asked = 0.0
        self.read: list[tuple[float, float]] = []
        self.waiting: list[tuple[float, float]] = []
        self.sent: list[tuple[float, float]] = []
        self.events = self.others = 0

    def step(self, what: str, detail: object) -> None:
        rig = self.rig
        if what == "wait":
            assert isinstance(detail, float)
            rig.wait(detail)
        elif what == "change":
            rig.wait(0.01)
            self.value += 1.0
            self.waiting.append((self.value, rig.now))
        elif what == "deliver" and self.waiting:
            self.send(self.waiting.pop(0 if detail == "oldest" else -1))
        elif what == "ask":
            rig.monitor.interrogating(1)
            self.answer, self.asked = self.value, rig.now
        elif what == "answer" and self.answer is not None and not self.newer_sent(self.answer):
            rig.current(self.answer)
            self.read.append((self.answer, self.asked))
            self.answer = None
            self.others += 1
        elif what == "cyclic":
            rig.current(self.value, cause=1)
            self.read.append((self.value, rig.now))
            self.others += 1
        elif what == "lose link":
            rig.monitor.connected()
            self.answer = None
            for event in self.sent[-3:]:  # not acknowledged
                self.send(event, again=True)

    def newer_sent(self, answer: float) -> bool:
        """A station does not send an answer that is older than what it has sent."""
        return any(value > answer for value in self.rig.shown)

    def send(self, event: tuple[float, float], *, again: bool = False) -> None:
        value, at = event
        before = len(self.rig.shown)
        self.rig.asdu(36, (1, e.ShortFloat(value), at + self.error - self.rig.now))
        if len(self.rig.shown) > before:
            assert not [read for newer, read in self.read if newer > value and read - at > 1.5]
        if not again:
            self.sent.append(event)
            self.events += 1


@given(st.lists(STEPS, max_size=40), st.sampled_from([0.0, -0.4, 0.4]))
def test_what_is_shown_in_the_end_is_how_things_are(steps, error):
    station = Station(error)
    for what, detail in steps:
        station.step(what, detail)
    while station.waiting:
        station.step("deliver", "oldest")
    rig = station.rig
    assert len(rig.shown) + len(rig.late) == station.events + station.others
    if rig.shown:
        assert rig.shown[-1] == station.value
