"""What the clock of a station shows, as far as its time tags tell.

Everything here goes by a clock of ours that only runs forward, so that setting our own clock changes nothing.
``shown`` of a tag is the tag less the moment at which it came. No event comes before it has happened, so the clock
of the station is ahead of ours by at least that: the event that took the least time says it best.

1. Until something is known the station is taken to have the time of day that we have.
2. A tag that is ahead of the clock as it is known by no more than :data:`NEAR` corrects it at once.
3. Anything else, a clock that is far ahead or that went back, is believed when two windows of :data:`WINDOW`
   seconds in a row agree within :data:`ALIKE`. A window begins with an event; windows without events are none. Of
   events that had been kept by the station each shows more than the one before, for they come faster than they
   happened: such a window proves nothing, nor do two windows of different links.

A constant delay cannot be told from a clock that is behind.
"""

from __future__ import annotations

NEAR = 2.0
WINDOW = 10.0
ALIKE = 1.0


class StationClock:
    """The clock behind one common address.

    :ivar offset: what it shows, epoch seconds, less what our clock shows.
    :ivar known: whether tags have said so, or we have set it; otherwise it is an assumption.
    """

    __slots__ = ("_before", "_best", "_first", "_start", "known", "offset")

    def __init__(self, offset: float) -> None:
        self.set(offset, known=False)

    def set(self, offset: float, *, known: bool) -> None:
        """Begin anew: the clock has been set, or the station has started again."""
        self.offset = offset
        self.known = known
        self.connected()

    def connected(self) -> None:
        """A new link: what came over the old one is no evidence together with what comes now."""
        self._start: float | None = None
        self._first = self._best = 0.0
        self._before: float | None = None

    def heard(self, tag: float, at: float) -> bool:
        """Take note of the tag of an event that came just now.

        :param at: when, by our clock.
        :return: whether the clock turned out to have gone back: tags from before cannot be compared any more.
        """
        shown = tag - at
        if self.offset < shown <= self.offset + NEAR:
            self.offset = shown
        if self._start is None:
            went_back = False
        elif at - self._start < WINDOW:
            self._best = max(self._best, shown)
            return False
        else:
            went_back = self._close()
        self._start = at
        self._first = self._best = shown
        return went_back

    def _close(self) -> bool:
        """The window is over."""
        before, self._before = self._before, None
        if self._best - self._first > ALIKE:
            return False
        self._before = self._best
        if before is None or abs(before - self._best) > ALIKE:
            return False
        offset = max(before, self._best)
        went_back = offset < self.offset - ALIKE
        self.offset = offset
        self.known = True
        return went_back
