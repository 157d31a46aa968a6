"""Data units that wait to be numbered, because k frames are without acknowledgement."""

from __future__ import annotations

from collections import OrderedDict


class SendQueue:
    """Two lanes, each in order and bounded: the urgent one goes first.

    :param limit: data units per lane.
    """

    __slots__ = ("_limit", "_ordinary", "_urgent", "_was_full")

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"queue_limit = {limit} is below 1")
        self._limit = limit
        # ordered dictionaries: the oldest and any other one leave equally fast
        self._urgent: OrderedDict[int, bytes] = OrderedDict()
        self._ordinary: OrderedDict[int, bytes] = OrderedDict()
        self._was_full = False

    def __len__(self) -> int:
        return len(self._urgent) + len(self._ordinary)

    @property
    def room(self) -> int:
        """Places in the ordinary lane."""
        return self._limit - len(self._ordinary)

    @property
    def urgent(self) -> bool:
        """Whether anything waits in the urgent lane."""
        return bool(self._urgent)

    def put(self, token: int, asdu: bytes, *, first: bool) -> bool:
        """Put in a data unit; false when its lane is full."""
        lane = self._urgent if first else self._ordinary
        if len(lane) >= self._limit:
            return False
        lane[token] = asdu
        self._was_full = self._was_full or not self.room
        return True

    def pop(self) -> tuple[int, bytes]:
        """The next to be sent; the queue is not empty."""
        return (self._urgent or self._ordinary).popitem(last=False)

    def relieved(self) -> bool:
        """Whether the ordinary lane has been full and is at most half full now; true once for each time."""
        if not self._was_full or len(self._ordinary) > self._limit // 2:
            return False
        self._was_full = False
        return True

    def tokens(self) -> tuple[int, ...]:
        """What waits, in sending order."""
        return (*self._urgent, *self._ordinary)

    def withdraw(self, token: int) -> bool:
        """Take one out; false when it is not here."""
        return self._urgent.pop(token, None) is not None or self._ordinary.pop(token, None) is not None

    def take_all(self) -> tuple[int, ...]:
        """Empty the queue; the tokens that were in it, in sending order."""
        tokens = self.tokens()
        self._urgent.clear()
        self._ordinary.clear()
        self._was_full = False
        return tokens
