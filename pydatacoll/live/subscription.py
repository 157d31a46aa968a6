"""One subscription: how far its subscriber is, and what is to be sent next. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pydatacoll.live.hub import Hub
from pydatacoll.live.messages import Topic
from pydatacoll.live.selection import Selection
from pydatacoll.live.wire import Body, Piece, array, strings

ROWS = 1000
"""In one piece of a snapshot: about a millisecond."""
LAST_EVENTS = 100
"""In a snapshot."""
CACHED = 8
"""Batches that are kept for others who want the same."""


class Group:
    """Subscriptions with the same selection and topics: what one of them gets, the others get, too."""

    def __init__(self, hub: Hub, selection: Selection, topics: tuple[Topic, ...]) -> None:
        self._hub = hub
        self.selection = selection
        self.topics = topics
        self._bodies: dict[tuple[int, int], Body | None] = {}

    def body(self, position: int, upto: int) -> Body | None:
        """What changed after ``position`` and up to ``upto``, or a little later; ``None`` when nothing did."""
        key = position, upto
        if key not in self._bodies:
            if len(self._bodies) >= CACHED:
                del self._bodies[next(iter(self._bodies))]
            self._bodies[key] = self._make(position)
        return self._bodies[key]

    def _make(self, position: int) -> Body | None:
        hub, selection, parts = self._hub, self.selection, {}
        for topic in self.topics:
            if topic == "values":
                if rows := hub.rows_since(selection, position):
                    parts["c"] = array(rows)
                if gone := hub.gone_since(selection, position):
                    parts["gone"] = strings(gone)
            elif found := self._texts(topic, position):
                parts[topic] = array(found)
        return Body(parts) if parts else None

    def _texts(self, topic: Topic, position: int | None) -> list[str]:
        if topic == "devices":
            return self._hub.links_of(self.selection, position)
        if topic == "alarms":
            return self._hub.alarms_of(self.selection, position)
        return self._hub.events_of(self.selection, position, *([LAST_EVENTS] if position is None else []))

    def everything(self) -> Iterator[Body]:
        """Pieces of a snapshot; at least one. The last one has all that is no value."""
        if "values" in self.topics:
            rows: list[str] = []
            for row in self._hub.rows(self.selection):
                if len(rows) == ROWS:
                    yield Body({"c": array(rows)})
                    rows = []
                rows.append(row)
            parts = {"c": array(rows)}
        else:
            parts = {}
        for topic in self.topics:
            if topic != "values":
                parts[topic] = array(self._texts(topic, None))
        yield Body(parts)

    def missed(self, position: int) -> Body:
        """What changed after ``position``, as the snapshot of somebody who comes back."""
        parts: dict[str, str] = {"c": "[]"} if "values" in self.topics else {}
        parts |= {topic: "[]" for topic in self.topics if topic != "values"}
        found = self._make(position)
        return Body(parts | dict(found.parts if found is not None else {}))


class Subscription:
    """One subscription of one client.

    :ivar name: JSON text of its id.
    :ivar rate: milliseconds between batches.
    :ivar position: number of the last change it was told of; ``None`` before its snapshot.
    :ivar due: number of the change up to which it is to be told now; ``None``: not now.
    :ivar resume: epoch and number that the client saw before.
    """

    def __init__(self, name: str, group: Group, rate: int, resume: tuple[str, int] | None) -> None:
        self.name = name
        self.group = group
        self.rate = rate
        self.resume = resume
        self.position: int | None = None
        self.due: int | None = None

    @property
    def lost(self) -> bool:
        """Whether it needs a snapshot."""
        return self.position is None

    def snapshot(self, hub: Hub) -> Iterator[Piece]:
        """The pieces, at least one."""
        seq, topics = hub.seq, self.group.topics
        resumes = self.resume is not None and self.resume[0] == hub.epoch and hub.knows(self.resume[1], topics)
        missed = [self.group.missed(self.resume[1])] if resumes and self.resume is not None else None
        self.resume = None
        self.position = seq
        points = self.group.selection.count
        for body in missed or self.group.everything():
            yield Piece(hub.epoch, seq, resumes, points, body)

    def batch(self, hub: Hub) -> tuple[int, Body] | None:
        """Number and body of what is due; ``None`` when nothing changed.

        What was forgotten before it was told makes it begin anew, with a snapshot.
        """
        position, upto = self.position, self.due
        self.due = None
        if position is None or upto is None or upto <= position:
            return None
        if not hub.knows(position, self.group.topics):
            self.position = None
            return None
        self.position = upto
        body = self.group.body(position, upto)
        return None if body is None else (upto, body)
