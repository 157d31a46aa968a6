"""States other than values, in the order in which they changed. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

from pydatacoll.model.alarm import Priority, State

K = TypeVar("K")
V = TypeVar("V")


class Changes(Generic[K, V]):
    """The newest state by key, in the order of changes. States that are ``final`` matter only to those who missed
    them: only the last ones are kept.

    :ivar floor: number of the last change that is not known any more.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._states: dict[K, tuple[int, V]] = {}
        self._final: dict[K, None] = {}
        self.floor = 0

    def put(self, key: K, seq: int, state: V, *, final: bool = False) -> None:
        """Take a new state."""
        self._states.pop(key, None)
        self._states[key] = seq, state
        self._final.pop(key, None)
        if final:
            self._final[key] = None
            if len(self._final) > self._kept:
                oldest = next(iter(self._final))
                del self._final[oldest]
                self.floor = max(self.floor, self._states.pop(oldest)[0])

    def get(self, key: K) -> V | None:
        """The state, also a final one."""
        found = self._states.get(key)
        return None if found is None else found[1]

    def current(self) -> Iterator[tuple[K, V]]:
        """All states that are not final."""
        return ((key, state) for key, (_, state) in self._states.items() if key not in self._final)

    def since(self, position: int) -> Iterator[tuple[K, V]]:
        """What changed after a number, the newest first."""
        for key, (seq, state) in reversed(self._states.items()):
            if seq <= position:
                return
            yield key, state


class Event(NamedTuple):
    """Something that happened, as it is shown.

    :ivar text: JSON.
    :ivar devices: those it concerns; none: the system.
    :ivar whole: it concerns the model as a whole: nothing for a token that is limited to devices.
    """

    text: str
    devices: tuple[str, ...]
    whole: bool = False


class AlarmState(NamedTuple):
    """An alarm: its point, its JSON, and what is counted."""

    device_id: str
    term_id: str
    item_id: str
    text: str
    state: State
    active: bool
    priority: Priority
