"""Time tags (IEC 60870-5-101, 7.2.6.18 to 7.2.6.20) and what they mean in a time zone.

A tag is kept as its octets, so that nothing of it is lost; its fields are read when asked for. A time in seconds
is that of the epoch (UTC), a float.

What the standard leaves open, and what is done here:

- Year: two digits; 70-99 are 1970 to 1999 (a clock that was never set), 0-69 are 2000 to 2069; 100-127 are none.
- Day of week: 0 says that it is not used. A wrong one is no reason to doubt the date, so it is not looked at.
- Summer time (SU): the hour is one more than in standard time. In UTC (or at +00:00) it is ignored.
  With a fixed offset it is taken at its word, unless the zone was made with ``summer_time=False``. In a zone with
  rules the rules decide, and SU tells apart the hours that occur twice.
- The bit that tells a substituted time from a genuine one says nothing about its validity.
- CP24Time2a has no hour: see :meth:`Zone.of_minutes`.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from pydatacoll.protocols.iec104.elements import IV
from pydatacoll.protocols.iec104.errors import LocalProtocolError

NAN = math.nan
AHEAD = 300.0
"""How far, in seconds, the clock of a station may be ahead of ours before a tag without hour is taken for one of
the hour before."""
_HOUR = 3600.0
_LAST_MILLISECOND = 59_999
_CACHED_MINUTES = 2048


class Cp24(msgspec.Struct, frozen=True):
    """CP24Time2a: milliseconds and minute."""

    octets: bytes

    @classmethod
    def of(cls, milliseconds: int, minute: int, *, invalid: bool = False) -> Self:
        """``milliseconds``: 0 to 59999, seconds included.

        :raises LocalProtocolError: out of range.
        """
        if not (0 <= milliseconds <= _LAST_MILLISECOND and 0 <= minute <= 59):
            raise LocalProtocolError(f"minute {minute}, {milliseconds} ms is no time of an hour")
        return cls(milliseconds.to_bytes(2, "little") + bytes([minute | (IV if invalid else 0)]))

    @property
    def milliseconds(self) -> int:
        return int.from_bytes(self.octets[:2], "little")

    @property
    def minute(self) -> int:
        return self.octets[2] & 0x3F

    @property
    def substituted(self) -> bool:
        return bool(self.octets[2] & 0x40)

    @property
    def invalid(self) -> bool:
        """The station says so. Fields may be out of range besides: then :class:`Zone` finds no time either."""
        return self.octets[2] >= IV


class Cp56(msgspec.Struct, frozen=True):
    """CP56Time2a: milliseconds to year. Reserved bits are kept in ``octets``."""

    octets: bytes

    @property
    def milliseconds(self) -> int:
        """0 to 59999, seconds included."""
        return int.from_bytes(self.octets[:2], "little")

    @property
    def minute(self) -> int:
        return self.octets[2] & 0x3F

    @property
    def substituted(self) -> bool:
        return bool(self.octets[2] & 0x40)

    @property
    def invalid(self) -> bool:
        """The station says so. Fields may be out of range besides: then :class:`Zone` finds no time either."""
        return self.octets[2] >= IV

    @property
    def hour(self) -> int:
        return self.octets[3] & 0x1F

    @property
    def summer(self) -> bool:
        return self.octets[3] >= 0x80

    @property
    def day(self) -> int:
        return self.octets[4] & 0x1F

    @property
    def weekday(self) -> int:
        """1 Monday to 7 Sunday; 0 not used."""
        return self.octets[4] >> 5

    @property
    def month(self) -> int:
        return self.octets[5] & 0x0F

    @property
    def year(self) -> int:
        """Two digits, 0 to 99; up to 127 when wrong."""
        return self.octets[6] & 0x7F

    @property
    def reserved(self) -> bool:
        """Whether reserved bits are set."""
        return bool(self.octets[3] & 0x60 or self.octets[5] & 0xF0 or self.octets[6] & 0x80)


class _Minutes(dict[bytes, float]):
    """The octets of minute to year -> start of that minute; NaN when that is no valid time. Remembers them: the
    objects of an ASDU, and of the next, mostly share the minute."""

    def __init__(self, zone: Zone) -> None:
        super().__init__()
        self._zone = zone

    def __missing__(self, octets: bytes) -> float:
        if len(self) >= _CACHED_MINUTES:
            self.clear()
        self[octets] = start = self._zone.start_of_minute(octets)
        return start


class Zone:
    """How the clock of a station is set.

    :param tz: the zone of its clock.
    :param summer_time: with a fixed offset: whether SU adds an hour.
    """

    def __init__(self, tz: tzinfo = UTC, *, summer_time: bool = True) -> None:
        self.tz = tz
        self._fixed = tz.utcoffset(None)
        self._summer_hour = timedelta(hours=1) if summer_time and tz is not UTC else timedelta()
        self.minutes = _Minutes(self)
        """Octets 3 to 7 of a CP56Time2a -> epoch seconds at which that minute begins, or NaN."""

    @classmethod
    def parse(cls, text: str, *, summer_time: bool = True) -> Self:
        """``UTC``, ``+01:00`` or a name such as ``Europe/Vienna``.

        :raises ValueError: when it is none of these.
        """
        if text.upper() in ("UTC", "Z"):
            return cls(UTC)
        if text[:1] in ("+", "-"):
            hours, colon, minutes = text[1:].partition(":")
            if not (hours.isdigit() and minutes.isdigit() and colon and int(hours) < 24 and int(minutes) < 60):
                raise ValueError(f"{text!r} is no offset such as +01:00")
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            return cls(timezone(-offset if text[0] == "-" else offset), summer_time=summer_time)
        try:
            return cls(ZoneInfo(text))
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: a name that is a directory
            raise ValueError(f"{text!r} is neither UTC, an offset such as +01:00 nor a known time zone") from error

    def start_of_minute(self, octets: bytes) -> float:
        """The epoch seconds at which the minute begins that octets 3 to 7 of a CP56Time2a name; NaN for none."""
        minute, hour, day, month, year = octets
        year &= 0x7F
        if minute >= IV or year > 99:
            return NAN
        year += 1900 if year >= 70 else 2000
        try:
            local = datetime(year, month & 0x0F, day & 0x1F, hour & 0x1F, minute & 0x3F, tzinfo=self.tz)
        except ValueError:  # hour 24, February 30 and so on
            return NAN
        summer = hour >= 0x80
        if self._fixed is not None:
            return (local - self._summer_hour if summer else local).timestamp()
        later = local.replace(fold=1)
        if _offset(local) != _offset(later):
            # An hour that occurs twice or never: in summer time the offset is the larger one.
            local = max(local, later, key=_offset) if summer else min(local, later, key=_offset)
        return local.timestamp()

    def seconds(self, tag: Cp56 | Cp24, reference: float | None = None) -> float | None:
        """When that was, in epoch seconds; ``None`` when the tag is not valid, or has no hour and there is no
        ``reference`` (the time of receipt)."""
        if isinstance(tag, Cp24):
            if tag.invalid or reference is None:
                return None
            return self.of_minutes(tag.minute, tag.milliseconds, reference)
        start = self.minutes[tag.octets[2:]]
        if start != start or tag.milliseconds > _LAST_MILLISECOND:  # noqa: PLR0124 - NaN is not itself
            return None
        return start + tag.milliseconds / 1000

    def of_minutes(
        self, minute: int, milliseconds: int, reference: float, offset: float | None = None
    ) -> float | None:
        """The last time not after ``reference`` (and :data:`AHEAD`) at which the clock showed that minute.

        An event that waited longer than an hour is therefore taken for younger than it is: the tag cannot say it.
        ``offset``: what :meth:`offset` says of ``reference``, if it is known already.
        """
        if minute > 59 or milliseconds > _LAST_MILLISECOND:
            return None
        if offset is None:
            offset = self.offset(reference)
        latest = reference + offset + AHEAD
        within_hour = minute * 60 + milliseconds / 1000
        return math.floor((latest - within_hour) / _HOUR) * _HOUR + within_hour - offset

    def offset(self, seconds: float) -> float:
        """Seconds by which the clock is ahead of UTC at that time."""
        return _offset(datetime.fromtimestamp(seconds, self.tz)).total_seconds()

    def tag(self, seconds: float, *, invalid: bool = False, weekday: bool = True) -> Cp56:
        """What the clock of the station shows at that time, to the millisecond.

        :raises LocalProtocolError: for a time before 1970 or after 2069.
        """
        milliseconds = round(seconds * 1000) if math.isfinite(seconds) else -1
        try:
            local = datetime.fromtimestamp(milliseconds // 1000, self.tz)
        except (OverflowError, ValueError, OSError) as error:
            raise LocalProtocolError(f"{seconds!r} is no time that CP56Time2a can hold") from error
        if not 1970 <= local.year <= 2069:
            raise LocalProtocolError(f"CP56Time2a with its year of two digits cannot hold {local.isoformat()}")
        octets = (local.second * 1000 + milliseconds % 1000).to_bytes(2, "little") + bytes(
            [
                local.minute | (IV if invalid else 0),
                local.hour | (0x80 if self._is_summer(local) else 0),
                local.day | (local.isoweekday() << 5 if weekday else 0),
                local.month,
                local.year % 100,
            ]
        )
        return Cp56(octets)

    def short_tag(self, seconds: float, *, invalid: bool = False) -> Cp24:
        """The same without hour and date."""
        octets = self.tag(seconds, invalid=invalid).octets
        return Cp24(octets[:3])

    def _is_summer(self, local: datetime) -> bool:
        if self._fixed is not None:
            return False
        year_round = (local.replace(month=month, day=1, fold=0) for month in (1, 7))
        return _offset(local) > min(_offset(day) for day in year_round)


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta()
