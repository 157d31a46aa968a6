"""Points as drivers see them: what is read of them, where it goes, what is written to them.

Imported through :mod:`pydatacoll.sdk`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from msgspec import Struct

from pydatacoll.errors import Conflict, DeviceError
from pydatacoll.model import PointId, Sample, Term, TermItem, Value


def _factors(coefficient: float) -> tuple[float, float]:
    """``(multiplier, divisor)``: a coefficient of 0.1 divides by 10, so that 2301 gives 230.1 and no noise."""
    divisor = round(1 / coefficient) if abs(coefficient) <= 1 else 0
    if divisor and abs(divisor * coefficient - 1) < 1e-12:
        return 1, divisor
    return coefficient, 1


class Point:
    """One term item of a running device, with its term. Identity is by object; a changed point is a new one.

    :ivar unscaled: raw values are engineering values.
    :ivar plain: besides, there are no rules, and the history has the usual length.
    """

    __slots__ = (
        "base",
        "coefficient",
        "divisor",
        "field",
        "id",
        "item",
        "multiplier",
        "plain",
        "ruled",
        "term",
        "unscaled",
    )

    def __init__(self, term: Term, item: TermItem) -> None:
        self.term = term
        self.item = item
        self.id = PointId(term.device_id, term.id, item.item_id)
        self.field = f"{term.id}:{item.item_id}"
        self.coefficient = item.coefficient
        self.base = item.base_val
        self.multiplier, self.divisor = _factors(item.coefficient)
        self.ruled = item.ruled
        self.unscaled = (self.coefficient, self.base) == (1.0, 0.0)
        self.plain = self.unscaled and not self.ruled and item.history_length is None

    def engineering(self, raw: Value) -> Value:
        """Raw value -> engineering value; texts, booleans and ``None`` stay as they are."""
        if self.unscaled or isinstance(raw, (bool, str)) or raw is None:
            return raw
        return raw * self.multiplier / self.divisor + self.base

    def __repr__(self) -> str:
        return f"<Point {self.id}>"


class PointGroup:
    """Points that are always read together, with what the data path needs of them worked out once.

    A driver makes a group when it plans, not when it reads: a group costs far more than a reading. For values
    that come in ever other combinations there is :meth:`Sink.spontaneous`.

    :ivar fields: ``term_id:item_id`` of each point; ``distinct`` when no point stands twice.
    :ivar scaling: ``(index, multiplier, divisor, base)`` of the points that are scaled.
    :ivar ruled: indices of the points that are reported by exception or watched (see ``TermItem.ruled``).
    :ivar history: history length per point, or ``None`` when all take the default.
    :ivar last: engineering values of the last reading, with ``last_quality`` and ``last_time``; these three,
        ``own`` and ``states`` are kept by the data path.
    """

    __slots__ = (
        "distinct",
        "fields",
        "history",
        "last",
        "last_quality",
        "last_time",
        "own",
        "points",
        "ruled",
        "scaling",
        "states",
    )

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = tuple(points)
        self.fields = [point.field for point in points]
        self.distinct = len(set(self.fields)) == len(self.fields)
        self.scaling = [
            (i, point.multiplier, point.divisor, point.base)
            for i, point in enumerate(self.points)
            if not point.unscaled
        ]
        self.ruled = [i for i, point in enumerate(self.points) if point.ruled]
        lengths = [point.item.history_length for point in points]
        self.history = None if all(length is None for length in lengths) else lengths
        self.last: list[Value] | None = None
        self.last_quality: int | list[int] = 0
        self.last_time: float | list[float] = 0.0
        self.own: list[Value] | None = None
        self.states: list[Any] = []

    def __len__(self) -> int:
        return len(self.points)


class Readings(Struct, frozen=True, gc=False):
    """What one read gave: a column of raw values for a group.

    ``values`` are raw (before ``coefficient`` and ``base_val``), one per point of the group; ``time`` is epoch
    seconds for all, or a list; ``quality`` a bit set of :class:`Quality` for all, or a list. A value of
    ``None`` means that nothing was obtained: the last known value stays and takes the quality given.
    """

    group: PointGroup
    values: Sequence[Value]
    time: float | list[float]
    quality: int | list[int] = 0


class Sink(Protocol):
    """Where a driver puts what it reads. Never blocks, never raises."""

    def values(self, readings: Readings) -> None:
        """Values read, good or bad."""

    def spontaneous(self, samples: Sequence[tuple[Point, Sample]]) -> None:
        """Single raw samples, in the order of their arrival: what a device sends by itself.

        They go by the same rules as values of groups, and may be of the same points. Nothing is kept of the
        combination, so it may be another one every time. A point may stand several times. Samples are stored as
        they come: whether an event that arrives late is still worth passing on is for the driver to say, with
        the help of :meth:`known`.
        """

    def arrived(
        self,
        points: Sequence[Point],
        values: Sequence[Value],
        times: Sequence[float] | float,
        qualities: Sequence[int] | int,
    ) -> None:
        """The same as :meth:`spontaneous`, in columns: for devices that send a lot."""

    def late(self, samples: Sequence[tuple[Point, Sample]]) -> None:
        """Raw samples that are older than what their points show: they go into the history and to the consumers,
        without regard to the rules of the points, and change nothing that is shown."""

    def known(self, point: Point) -> Sample | None:
        """What the point shows now: the last engineering value with its quality, ``None`` when nothing is known.

        ``time`` is that of the last reading, a failed one not counted, and 0 when there was none; after a start
        of the manager, of the last sample that was stored before.
        """

    def failed(self, group: PointGroup, quality: int, time: float) -> None:
        """Nothing was obtained for the group: its points keep their value and take ``quality``.

        Only points that do not have this quality yet give a sample, so that a device that stays silent does
        not fill the history.
        """


Result = Sample | DeviceError
"""Of one point: its sample (raw value), or why there is none."""


@dataclass(frozen=True, slots=True)
class Executed:
    """A write that the device confirmed, where the protocol knows more than one way to do that.

    :ivar outcome: one word for programs, as ``terminated`` or ``confirmed``.
    """

    sample: Sample
    outcome: str


WriteResult = Result | Executed | Conflict
"""Of a write; :class:`Conflict`: it was not tried, as it contradicts the present state (the point is selected)."""


@dataclass(frozen=True, slots=True)
class Selected:
    """A selection that the device has confirmed, and that the driver holds.

    :ivar id: names it, to execute or to cancel it; unique for ever.
    :ivar seconds: after which the driver gives it up.
    """

    id: str
    seconds: float


class Interrogated(Struct, frozen=True):
    """What an interrogation of one term gave.

    :ivar term_id: empty: of all terms at once, whatever terms there are.
    :ivar address: of the term.
    :ivar outcome: ``terminated`` when the device said that it was all; else one word for what was missing.
    :ivar points: values that came as its answer.
    :ivar seconds: from the request to the end.
    :ivar detail: what went wrong, in words.
    """

    term_id: str
    address: int
    outcome: str
    points: int
    seconds: float
    detail: str = ""


class Discovered(Struct, frozen=True):
    """An address that sends and is not configured.

    :ivar address: of the term; ``protocol_code`` and ``code_type`` are those of a term item for it.
    :ivar value: the last raw value, with ``quality`` and ``time`` (epoch seconds) as of a sample.
    :ivar cause: why it was sent, in the words of the protocol.
    :ivar count: values that came.
    :ivar note: why it counts as not configured, when it seems to be.
    """

    address: int
    protocol_code: str
    code_type: str
    value: Value
    quality: int
    time: float
    cause: str
    count: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """A value on its way to a device.

    :ivar value: the raw value, already scaled back from the engineering value.
    :ivar verify: read back and compare after writing.
    :ivar mode: protocol-specific (``direct`` or ``select`` of IEC 104), ``None`` for the point's own default.
    :ivar deadline: ``loop.time()`` after which the value must not be sent any more.
    """

    point: Point
    value: Value
    verify: bool = False
    mode: str | None = None
    deadline: float | None = None


class Interpretation(Struct, frozen=True):
    """One way to understand what a probe read.

    :ivar value: engineering value; ``None`` when the bytes hold none of this type.
    :ivar byte_order: ``big`` or ``little``, ``None`` when the type has only one; so ``word_order``.
    :ivar configured: whether this is how the point is configured.
    """

    code_type: str
    value: Value
    byte_order: str | None = None
    word_order: str | None = None
    configured: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """What one try of a point gave.

    :ivar result: raw sample as the point is configured, or why there is none.
    :ivar raw: the bytes the device sent for it, when it sent any.
    """

    result: Result
    raw: bytes | None = None
    interpretations: Sequence[Interpretation] = ()
