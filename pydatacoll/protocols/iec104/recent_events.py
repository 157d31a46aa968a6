"""Events that came lately, to know them again: after a switch-over or a lost link a station sends once more what
had not been acknowledged."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

REMEMBERED = 1024
"""Events of one station; the k unacknowledged frames (12, as a rule) hold 22 tagged ones each, 264 together."""

Moment = tuple[int, float]
"""Address and tag."""
State = tuple[bool | int | float, int]
"""Value and quality."""


class _Events(NamedTuple):
    addresses: Sequence[int]
    times: Sequence[float | None]
    values: Sequence[bool | int | float]
    qualities: Sequence[int]

    def rows(self) -> Iterable[tuple[Moment, State]]:
        moments = zip(self.addresses, self.times, strict=True)
        return zip(moments, zip(self.values, self.qualities, strict=True), strict=True)  # type: ignore[arg-type]


class RecentEvents:
    """The last events of one station. Noting some costs nearly nothing; only who asks pays for looking at them.

    A contact may close, open and close within one millisecond, or within one second for a station that counts in
    seconds: the third event is like the first one and yet says something. So one that is like an earlier one is a
    repetition when that came over an earlier connection, once for each that did; over the same connection only
    when it says the same as the last event with its address and tag.
    """

    __slots__ = ("_again", "_looked_at", "_new", "_number", "_states", "_times")

    def __init__(self) -> None:
        self._looked_at: deque[_Events] = deque()
        self._new: deque[_Events] = deque()
        self._number = 0
        self._states: dict[Moment, State] = {}
        """What was said last of each moment of those looked at."""
        self._times: Counter[Moment] = Counter()
        """How many of those looked at are of a moment."""
        self._again: Counter[tuple[Moment, State]] = Counter()
        """What came over earlier connections and may come once more over this one."""

    def note(
        self,
        addresses: Sequence[int],
        times: Sequence[float | None],
        values: Sequence[bool | int | float],
        qualities: Sequence[int],
    ) -> None:
        """Remember events, at the cost of older ones."""
        if not addresses:
            return
        self._new.append(_Events(addresses, times, values, qualities))
        self._number += len(addresses)
        while self._number > REMEMBERED:
            self._forget()

    def _forget(self) -> None:
        if not self._looked_at:
            self._number -= len(self._new.popleft().addresses)
            return
        events = self._looked_at.popleft()
        self._number -= len(events.addresses)
        for moment, _ in events.rows():
            self._times[moment] -= 1
            if not self._times[moment]:
                del self._times[moment], self._states[moment]

    def _look(self) -> None:
        while self._new:
            events = self._new.popleft()
            self._looked_at.append(events)
            for moment, state in events.rows():
                self._times[moment] += 1
                self._states[moment] = state

    def connected(self) -> None:
        """Another connection: all of them may come once more."""
        self._look()
        self._again = Counter(row for events in self._looked_at for row in events.rows())

    def repeats(self, address: int, tag: float, value: bool | int | float, quality: int) -> bool:
        """Whether an event that comes now is a repetition. To be asked once for each; what is none is noted."""
        self._look()
        moment, state = (address, tag), (value, quality)
        if self._again[moment, state]:
            self._again[moment, state] -= 1
            return True
        if self._states.get(moment) == state:
            return True
        self.note((address,), (tag,), (value,), (quality,))
        return False

    def clear(self) -> None:
        """Forget all."""
        self._looked_at.clear()
        self._new.clear()
        self._number = 0
        self._states.clear()
        self._times.clear()
        self._again.clear()
