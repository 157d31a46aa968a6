"""What one subscription is about: points chosen by patterns or by name, as the model has them now. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from pydatacoll.live.budget import Budget
from pydatacoll.model.globs import PointGlob, point_globs
from pydatacoll.model.steps import Steps, finish

ALL: Final = ("*",)
_NONE: Final[frozenset[str]] = frozenset()


class Selection:
    """The points, devices and alarms that a subscription shows; shared by all with the same choice and rights.

    :ivar choice: under which it is found by others who want the same.
    :ivar members: device -> the fields (``term_id:item_id``) of its points that are shown, without empty ones.
    :ivar refused: it would hold more than there is room for, and shows nothing.
    :ivar settled: it was shown to somebody: then it may grow with the model.
    """

    def __init__(
        self,
        globs: tuple[str, ...] | None,
        ids: tuple[str, ...] | None,
        sees: Callable[[str], bool] | None,
        *,
        choice: tuple[object, ...] = (),
        budget: Budget | None = None,
    ) -> None:
        """
        :param sees: whether the access token is for a device; ``None``: for all.
        :param budget: counts what it holds, until :meth:`release`.
        """
        self._sees = sees
        self.choice = choice
        self._all = globs is not None and "*" in globs
        self._globs: tuple[PointGlob, ...] = () if globs is None else point_globs(globs)
        self._ids: dict[str, set[str]] = {}
        for one in ids or ():
            device_id, _, field = one.partition(":")
            self._ids.setdefault(device_id, set()).add(field)
        self.members: dict[str, frozenset[str]] = {}
        self.refused = False
        self.settled = False
        self._budget = None if self._all else budget  # all points of a device are held elsewhere
        self._cost = 0
        self._spend(len(ids or ()))

    @property
    def limited(self) -> bool:
        """Whether the access token is for some devices only."""
        return self._sees is not None

    def sees(self, device_id: str) -> bool:
        """Whether the access token is for a device."""
        return self._sees is None or self._sees(device_id)

    def has_device(self, device_id: str) -> bool:
        """Whether a device is shown itself, with whatever points."""
        if not self.sees(device_id):
            return False
        return self._all or device_id in self._ids or any(glob[0](device_id) for glob in self._globs)

    def has_point(self, device_id: str, term_id: str, item_id: str) -> bool:
        """Whether a point is shown, were it in the model."""
        if not self.sees(device_id):
            return False
        if self._all:
            return True
        if self._ids:
            return f"{term_id}:{item_id}" in self._ids.get(device_id, ())
        return any(glob[0](device_id) and glob[1](term_id) and glob[2](item_id) for glob in self._globs)

    def has_devices(self, device_ids: Collection[str]) -> bool:
        """Whether an event that concerns these devices is shown; without any it concerns the whole.

        With a token for some devices: only when it is for all of them.
        """
        if not device_ids:
            return True
        return all(map(self.sees, device_ids)) and any(map(self.has_device, device_ids))

    def resolve(self, device_id: str, fields: frozenset[str]) -> None:
        """Take the points of a device as they are now; none when it is gone."""
        self.take(device_id, finish(self.points(device_id, fields)))

    def take(self, device_id: str, found: frozenset[str]) -> None:
        """Show these points of a device."""
        if self._budget is not None:
            more = len(found) - len(self.members.get(device_id, _NONE))
            if self.refused or (more > 0 and not self.settled and not self._budget.fits(more)):
                self.refused = True
                self._spend(-self.count)
                self.members.clear()
                return
            self._spend(more)
        if found:
            self.members[device_id] = found
        else:
            self.members.pop(device_id, None)

    def _spend(self, points: int) -> None:
        if self._budget is not None:
            self._cost += points
            self._budget.points += points

    def release(self) -> None:
        """Nobody wants it any more: what it holds does not count from now on."""
        self._spend(-self._cost)
        self._budget = None

    def points(self, device_id: str, fields: frozenset[str]) -> Steps[frozenset[str]]:
        """Which of the points of a device are shown, in steps: many patterns for many points take seconds."""
        if not fields or not self.sees(device_id):
            return _NONE
        if self._all:
            return fields
        if self._ids:
            return fields & self._ids.get(device_id, _NONE)
        globs = [glob[1:] for glob in self._globs if glob[0](device_id)]
        by_term: dict[str, dict[Callable[[str], object], None]] = {}
        found = []
        for field in fields if globs else ():
            yield
            term_id, _, item_id = field.partition(":")
            items = by_term.get(term_id)
            if items is None:
                items = by_term[term_id] = dict.fromkeys(item for term, item in globs if term(term_id))
            if any(item(item_id) for item in items):
                found.append(field)
        return frozenset(found)

    @property
    def count(self) -> int:
        """Points that are shown."""
        return sum(map(len, self.members.values()))
