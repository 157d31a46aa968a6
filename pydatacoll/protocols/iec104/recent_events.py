"""Events that came lately, to know them again: after a switch-over or a lost link a station sends once more what
had not been acknowledged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

REMEMBERED = 1024
"""Events of one station; the k unacknowledged frames (12, as a rule) hold 22 tagged ones each, 264 together."""

Key = tuple[int, float, bool | int | float, int]
"""Address, tag, value and quality."""


class _Events(NamedTuple):
    addresses: Sequence[int]
    times: Sequence[float | None]
    values: Sequence[bool | int | float]
    qualities: Sequence[int]

    def rows(self) -> Iterable[Key]:
        return zip(self.addresses, self.times, self.values, self.qualities, strict=True)  # type: ignore[arg-type]


class RecentEvents:
    """The last events of one station. Noting some costs nearly nothing; only who asks pays for looking at them."""

    __slots__ = ("_looked_at", "_new", "_number", "_seen")

    def __init__(self) -> None:
        self._looked_at: deque[_Events] = deque()
        self._new: deque[_Events] = deque()
        self._number = 0
        self._seen: dict[Key, int] = {}
        """How often each of those looked at came."""

    def note(
        self,
        addresses: Sequence[int],
        times: Sequence[float | None],
        values: Sequence[bool | int | float],
        qualities: Sequence[int],
    ) -> None:
        """Remember events, at the cost of older ones."""
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
        for key in events.rows():
            self._seen[key] -= 1
            if not self._seen[key]:
                del self._seen[key]

    def __contains__(self, key: Key) -> bool:
        """Whether an event came already."""
        while self._new:
            events = self._new.popleft()
            self._looked_at.append(events)
            for each in events.rows():
                self._seen[each] = self._seen.get(each, 0) + 1
        return key in self._seen

    def clear(self) -> None:
        """Forget all."""
        self._looked_at.clear()
        self._new.clear()
        self._number = 0
        self._seen.clear()
