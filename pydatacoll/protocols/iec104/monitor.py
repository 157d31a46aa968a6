"""Process information on its way from ASDUs to samples.

What a sample is:

1. Its time is the time tag, or that of receipt when there is no tag or no valid one. Only a tag that is not valid
   gives ``time_invalid``.
2. A value whose type is of another family (element) than the configured one is not taken: it would be a number
   with another meaning. The time tag makes no difference, nor does the missing quality of M_ME_ND_1.
3. ASDUs with the test bit, with P/N or with a cause 44 to 47 say nothing about the process: counted, not taken.
4. A step position that is transient is not where the equipment is going to stay: ``not_topical``. Carry and
   adjustment of a counter, its sequence number, which of 16 packed states changed and the elapsed time of a
   protection event are no part of a sample; the reading, the states, the event are right without them, so the
   quality stays what the station says.

What is shown, and what comes too late for it. An *event* carries a valid time tag and was not asked for (any cause
but 5 and 20 to 41); everything else says how things are now.

5. What is no event is always shown, unless it carries a tag older than the last one of its point. It was read
   after it was asked for, or else shortly before it came.
6. An event is late when its tag is older than the last one of its point, or than the moment of rule 5 at which the
   point's last value without a tag (or asked for) was read. That moment is told by our clock, the tag by the
   station's: see :mod:`~pydatacoll.protocols.iec104.station_clock`. In doubt the event counts as the newer one:
   by :data:`TOLERANCE`, or :data:`UNSURE` seconds while nothing is known of the station's clock.
7. What is late goes into the history and to the consumers, and changes nothing that is shown. When it is an event
   (cause 3, 11 or 12) that says something else than its point shows, the station is asked, for its clock may be
   behind: see :mod:`~pydatacoll.protocols.iec104.doubts`.
8. A tag that is ahead of the station's clock as far as it is known orders nothing: such an event counts as of its
   receipt, so that one wrong tag does not make all later events late.
9. When the station starts again or its clock is found to have gone back, older tags do not count any more. When we
   set a clock that was known, they count as what they are by the clock as it is now, less :data:`TOLERANCE`.
10. An event (cause 3, 11 or 12) with tag, value and quality of one that came lately, or of what its point
    shows, is a repetition: after a switch-over, of what was not acknowledged, or of an answer to an
    interrogation that had the tag already. It is counted and not stored. So it is after we have set the clock,
    but not after the station started again: its clock may run through the same time once more. See
    :mod:`~pydatacoll.protocols.iec104.recent_events`.
11. A new link changes nothing of this; only no point has been seen on it. What is late or repeated does not count
    as seen.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from math import inf
from typing import Any

from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.protocols.iec104.asdu import CAUSES
from pydatacoll.protocols.iec104.columns import Columns, decode_columns
from pydatacoll.protocols.iec104.config import Address, Iec104Device, Target
from pydatacoll.protocols.iec104.discovered import DiscoveredAddresses
from pydatacoll.protocols.iec104.station_clock import NEAR
from pydatacoll.protocols.iec104.stations import FAMILIES, Record, Station, marked, only
from pydatacoll.protocols.iec104.times import Zone
from pydatacoll.protocols.iec104.types import TYPES
from pydatacoll.sdk import DriverContext, Point, Quality, Sample, Value

TOLERANCE = 1.0
"""Seconds by which a tag may be older than the value without a tag that it is compared with."""
UNSURE = 5.0
"""The same while nothing is known of the station's clock."""
REQUEST = 5

_NOT_TOPICAL = int(Quality.NOT_TOPICAL)
_TIME_INVALID = int(Quality.TIME_INVALID)
_ASKED = frozenset((REQUEST, *range(20, 42)))
_EVENTS = frozenset((3, 11, 12))
_NEVER_ASKED = frozenset((e.ProtectionEvent, e.ProtectionStart, e.ProtectionOutput))
"""What only happens, and is no state that a station could be asked for."""
_REFUSALS = frozenset(range(44, 48))


class Monitor:
    """Takes the ASDUs of one device and passes samples on to its sink.

    :ivar discovered: addresses that send and have no point.
    :ivar went_back: called with the common address when the clock of a station went back without our doing. Until
        that was noticed events looked late, so what is shown may be wrong: its owner interrogates the station.
    :ivar doubted: called with the points of which a late event said something else than they show.
    """

    def __init__(
        self, device: Iec104Device, context: DriverContext, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``clock``: seconds of a clock that only runs forward."""
        self.discovered = DiscoveredAddresses()
        self.went_back: Callable[[int], None] = _nobody
        self.doubted: Callable[[Mapping[Address, Point]], None] = _nobody
        self._context = context
        self._clock = clock
        self._zone = Zone.parse(device.time_zone, summer_time=device.summer_time)
        self._stations: dict[int, Station] = {}
        self._link = 0
        self._traffic: Counter[tuple[int, int]] = Counter()
        self._clear()

    def _clear(self) -> None:
        self._points: list[Point] = []
        self._values: list[Value] = []
        self._times: list[float] = []
        self._qualities: list[int] = []
        self._late: list[tuple[Point, Sample]] = []
        # the last late event of each point
        self._doubtful: dict[Address, tuple[Point, Sample]] = {}

    def configure(self, targets: Mapping[Point, Target]) -> None:
        """Take the point list; what is known of points that stay is kept."""
        of_station: dict[int, list[tuple[Point, Target]]] = {}
        for point, target in targets.items():
            of_station.setdefault(target.address.common, []).append((point, target))
        before = self._stations
        ahead = self._context.wall() - self._clock()
        self._stations = {common: before.get(common) or Station(ahead) for common in of_station}
        for common, points in of_station.items():
            self._stations[common].configure(points)
        self.discovered.configured(self._reason)

    # The link

    def connected(self) -> None:
        """A new link: no point has been seen on it."""
        self._link += 1
        for station in self._stations.values():
            station.asked = -inf
            station.clock.connected()
        self.switched()

    def switched(self) -> None:
        """Another connection: what was not acknowledged over the one before comes once more."""
        for station in self._stations.values():
            station.recent.connected()

    def interrogating(self, common: int) -> None:
        """A station has just been asked for all its values, or all its counters."""
        station = self._stations.get(common)
        if station is not None:
            station.asked = self._clock()

    def clock_changed(self, common: int | None = None, *, known: bool = False) -> None:
        """The clock of a station changed, or may have: older tags do not count any more.

        :param common: the common address; ``None``: of all stations.
        :param known: it has just been set to our time.
        """
        ahead = self._context.wall() - self._clock()
        for address, station in self._stations.items():
            if common is None or common == address:
                back = -inf
                if known and station.clock.known:
                    back = min(0.0, ahead - station.clock.offset) - TOLERANCE
                if not known:
                    station.recent.clear()
                station.clock.set(ahead, known=known)
                station.move_tags(back, self._clock() + ahead + NEAR)

    def unseen(self, common: int, *, counters: bool) -> list[Point]:
        """The monitored points without any value on this link.

        :param counters: those of integrated totals; otherwise all others.
        """
        station = self._stations.get(common)
        if station is None:
            return []
        return [
            record.point
            for record in station.records.values()
            if record.monitored and record.link != self._link and (record.family is e.Counter) == counters
        ]

    # Values

    def take(self, data: bytes, now: float) -> Columns:
        """Take one ASDU of :data:`~pydatacoll.protocols.iec104.columns.COLUMN_TYPES`.

        :param now: the time of receipt, epoch seconds.
        :raises RemoteProtocolError: see :func:`~pydatacoll.protocols.iec104.columns.decode_columns`. Nothing of it
            is taken then.
        """
        columns = decode_columns(data, self._zone, now)
        count = len(columns.values)
        self._traffic[columns.type_id, columns.cause] += count
        if columns.test or columns.negative or columns.cause in _REFUSALS:
            self._context.counters["test_values" if columns.test else "refused_values"] += count
            return columns
        station = self._stations.get(columns.common_address)
        if station is None:
            self._without_point(columns, range(count), now)
            return columns
        accepting = station.accepting(FAMILIES[columns.type_id])
        taken = columns
        try:
            records = [accepting[address] for address in columns.addresses]
        except KeyError:
            known = [address in accepting for address in columns.addresses]
            self._without_point(columns, [i for i in range(count) if not known[i]], now)
            taken = only(columns, [i for i in range(count) if known[i]])
            records = [accepting[address] for address in taken.addresses]
        if records:
            if taken.extras is not None and FAMILIES[taken.type_id] is e.StepPosition and any(taken.extras):
                taken = marked(taken)
            if taken.times is None:
                self._untagged(station, taken, records, now)
            else:
                self._tagged(station, taken, records, now)
        return columns

    def withdraw(self, point: Point) -> Sample | None:
        """Take back the last sample of a point that has not been passed on yet: somebody waits for it, and it is
        passed on as his answer. ``None``: there is none."""
        for i in range(len(self._points) - 1, -1, -1):
            if self._points[i] is point:
                sample = Sample(self._times[i], self._values[i], self._qualities[i])
                del self._points[i], self._times[i], self._values[i], self._qualities[i]
                return sample
        for i in range(len(self._late) - 1, -1, -1):
            if self._late[i][0] is point:
                return self._late.pop(i)[1]
        return None

    def flush(self) -> None:
        """Pass on what has been taken."""
        points, values, times, qualities, late, doubtful = (
            self._points,
            self._values,
            self._times,
            self._qualities,
            self._late,
            self._doubtful,
        )
        if points or late:
            self._clear()
        if points:
            self._context.sink.arrived(points, values, times, qualities)
        if late:
            self._context.sink.late(late)
        if doubtful:
            different = {
                address: point for address, (point, sample) in doubtful.items() if not self._says(point, sample)
            }
            if different:
                self.doubted(different)

    def _says(self, point: Point, sample: Sample) -> bool:
        """Whether a point shows the value and the quality of a sample."""
        known = self._context.sink.known(point)
        if known is None:
            return False
        return (known.value, known.quality) == (point.engineering(sample.value), sample.quality)

    def _shows(self, point: Point, sample: Sample) -> bool:
        """Whether a point shows just this sample, with its time."""
        known = self._context.sink.known(point)
        return known is not None and known.time == sample.time and self._says(point, sample)

    def _untagged(self, station: Station, columns: Columns, records: Sequence[Record], now: float) -> None:
        read = self._clock()
        if columns.cause in _ASKED and columns.cause != REQUEST and station.asked > -inf:
            read = station.asked
        link = self._link
        for record in records:
            record.read = read
            record.link = link
        count = len(records)
        self._points += [record.point for record in records]
        self._values += columns.values
        self._times += repeat(now, count)
        qualities = columns.qualities
        self._qualities += repeat(qualities, count) if isinstance(qualities, int) else qualities

    def _tagged(self, station: Station, columns: Columns, records: Sequence[Record], now: float) -> None:
        values, times = columns.values, columns.times or ()
        qualities: Sequence[int] = columns.qualities  # type: ignore[assignment]
        count = len(values)
        if isinstance(qualities, int):
            complete = not qualities & _TIME_INVALID
            qualities = [qualities] * count
        else:
            complete = None not in times
        at = self._clock()
        clock = station.clock
        station.note_tagged(records)
        done = 0
        if complete and columns.cause in _EVENTS:
            newest: float = max(times)  # type: ignore[type-var, assignment]
            if clock.heard(newest, at):
                self._gone_back(columns.common_address, station)
            if station.compared > -inf and min(times) > station.compared:  # type: ignore[type-var, operator]
                station.compared = -inf
            if newest <= at + clock.offset + NEAR and station.compared == -inf:
                oldest = clock.offset - (TOLERANCE if clock.known else UNSURE)
                done = self._in_order(records, times, oldest)  # type: ignore[arg-type]
                self._points += [record.point for record in records[:done]]
                self._values += values[:done]
                self._times += times[:done]  # type: ignore[arg-type]
                self._qualities += qualities[:done]
                station.recent.note(columns.addresses[:done], times[:done], values[:done], qualities[:done])
        for i in range(done, count):
            self._one(station, columns, i, records[i], qualities[i], (now, at))

    def _in_order(self, records: Sequence[Record], times: Sequence[float], oldest: float) -> int:
        """How many of some events, from the first on, are the newest of their points; these are taken for it.

        ``oldest``: how much more than the moment a value was read a tag must be at least.
        """
        link = self._link
        for i, (record, tag) in enumerate(zip(records, times, strict=True)):
            if tag <= record.tag or tag < record.read + oldest:
                return i
            record.tag = tag
            record.link = link
        return len(records)

    def _one(  # noqa: PLR0917 - what is the same for all objects of an ASDU, and what is not
        self,
        station: Station,
        columns: Columns,
        i: int,
        record: Record,
        quality: int,
        received: tuple[float, float],
    ) -> None:
        """One object with a time tag, in all its cases. ``received``: when, by the wall and by our clock."""
        now, at = received
        address, value = columns.addresses[i], columns.values[i]
        tag = None if columns.times is None else columns.times[i]
        clock = station.clock
        asked = columns.cause in _ASKED
        if tag is not None:
            if columns.cause in _EVENTS:
                repeated = station.recent.repeats(address, tag, value, quality)
                if repeated or (tag == record.tag and self._shows(record.point, Sample(tag, value, quality))):
                    self._context.counters["repeated_values"] += 1
                    return
            if tag <= at + clock.offset + NEAR:
                oldest = -inf if asked else record.read + clock.offset - (TOLERANCE if clock.known else UNSURE)
                if tag < max(record.tag, oldest):
                    self._context.counters["late_values"] += 1
                    late = record.point, Sample(tag, value, quality)
                    self._late.append(late)
                    if columns.cause in _EVENTS and FAMILIES[columns.type_id] not in _NEVER_ASKED:
                        self._doubtful[Address(columns.common_address, address)] = late
                    return
                record.tag = tag
            else:
                self._context.counters["tags_ahead"] += 1
                record.tag = max(record.tag, at + clock.offset)
        if tag is None or asked:
            interrogated = asked and columns.cause != REQUEST and station.asked > -inf
            record.read = station.asked if interrogated else at
        record.link = self._link
        self._points.append(record.point)
        self._values.append(value)
        self._times.append(now if tag is None else tag)
        self._qualities.append(quality)

    def _gone_back(self, common: int, station: Station) -> None:
        station.move_tags(-inf, self._clock() + station.clock.offset + NEAR)
        self._context.counters["clock_steps"] += 1
        self.went_back(common)

    # What has no point

    def _without_point(self, columns: Columns, indices: Sequence[int], now: float) -> None:
        self._context.counters["unconfigured_values"] += len(indices)
        self.discovered.note(columns, indices, now, self._reason)

    def _reason(self, common: int, address: int, type_id: int) -> str | None:
        station = self._stations.get(common)
        record = None if station is None else station.records.get(address)
        if record is None:
            return ""
        if not record.monitored:
            return "configured as a command"
        if record.info is None or record.family is FAMILIES[type_id]:
            return None
        return f"configured as {record.info.name}"

    def status(self) -> dict[str, Any]:
        """Values by type and by cause, clocks, and what was discovered; JSON types only."""
        types: Counter[str] = Counter()
        causes: Counter[str] = Counter()
        for (type_id, cause), count in self._traffic.items():
            types[TYPES[type_id].name] += count
            causes[CAUSES.get(cause, f"cause {cause}")] += count
        ahead = self._context.wall() - self._clock()
        return {
            "types": dict(types),
            "causes": dict(causes),
            "clocks": {
                str(common): {"ahead": round(station.clock.offset - ahead, 3) + 0.0, "known": station.clock.known}
                for common, station in self._stations.items()
            },
            "discovered": len(self.discovered),
            "unlisted_values": self.discovered.unlisted,
        }


def _nobody(what: object) -> None:
    """Stands for an owner that does not want to know."""
