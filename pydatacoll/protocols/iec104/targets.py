"""The points of a device: where each is, which stations they belong to, and what a new list changes."""

from __future__ import annotations

from collections.abc import Sequence

from pydatacoll.errors import DeviceError, DeviceRefused
from pydatacoll.protocols.iec104 import config
from pydatacoll.protocols.iec104.config import Address, Iec104Device, Iec104Term, Target
from pydatacoll.protocols.iec104.elements import Counter
from pydatacoll.sdk import Point, Term


def is_counter(target: Target) -> bool:
    """Whether a counter interrogation brings a point, and no general one."""
    return target.info is not None and target.info.element is Counter


class Targets:
    """Those of one device.

    :ivar all: of the points configured.
    :ivar monitored: address -> the point that takes what comes from it.
    :ivar terms: term id -> common address, also of terms without a point.
    :ivar stations: common addresses.
    :ivar with_counters: those that have counters, or no point yet, and so may have some.
    :ivar grown: those of which the last list wants values that the one before did not.
    :ivar moved: points that are to be had from elsewhere now, or as another type: what they show is of something
        else.
    """

    def __init__(self, device: Iec104Device) -> None:
        self._device = device
        self._declared: dict[str, int] = {}
        self.all: dict[Point, Target] = {}
        self.configure([])

    def configure_terms(self, terms: Sequence[Term]) -> None:
        """Take the terms; what follows from them does so with the next point list."""
        self._declared = {term.id: term.address for term in terms if isinstance(term, Iec104Term)}

    def configure(self, points: Sequence[Point]) -> None:
        """Take a point list."""
        before = {point.field: (point, target) for point, target in self.all.items()}
        wanted = {_wanted(point, target) for point, target in self.all.items() if target.monitored}
        self.all = {}
        self.moved: list[Point] = []
        for point in points:
            # most of a changed list is as it was, in points that are new
            old, known = before.get(point.field, (None, None))
            same = old is not None and (old.item, old.term) == (point.item, point.term)
            target = known if same and known is not None else self.of(point)
            if isinstance(target, Target):
                self.all[point] = target
                if known is not None and known.monitored and _place(known) != _place(target):
                    self.moved.append(point)
        self.monitored: dict[Address, Point] = {
            target.address: point for point, target in self.all.items() if target.monitored
        }
        of_points = {point.term.id: target.address.common for point, target in self.all.items()}
        self.terms = self._declared | of_points
        self.stations = set(self.terms.values())
        with_counters = {target.address.common for target in self.all.values() if is_counter(target)}
        self.with_counters = with_counters | (self.stations - set(of_points.values()))
        self.grown = {
            target.address.common
            for point, target in self.all.items()
            if target.monitored and _wanted(point, target) not in wanted
        }

    def of(self, point: Point) -> Target | DeviceError:
        """Where a point is, also one that is not configured."""
        target = self.all.get(point)
        if target is not None:
            return target
        try:
            return config.resolve(self._device, point.term, point.item)
        except ValueError as exc:
            return DeviceRefused(str(exc))


def _place(target: Target) -> tuple[Address, int, bool]:
    return target.address, 0 if target.info is None else target.info.number, target.monitored


def _wanted(point: Point, target: Target) -> tuple[str, float, float, tuple[Address, int, bool]]:
    """What is known of the station is enough for a point as long as this stays."""
    return point.field, point.coefficient, point.base, _place(target)
