"""Values as the types that PostgreSQL expects of the parameters of a statement. Pure.

SQLite and MySQL take any value for any column and convert it; PostgreSQL infers the type of each parameter, and
its driver takes nothing else. What cannot become that type without loss is refused, with the remedy.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from json import dumps
from typing import Final

from pydatacoll.archive.errors import StatementError


def fitted(value: object, name: str) -> object:
    """A value as the type of a parameter.

    :param value: a number, a text, true or false, a moment (UTC) or ``None``.
    :param name: of the type, as PostgreSQL's ``format_type`` gives it.
    :raises StatementError: when it cannot become that.
    """
    if value is None:
        return None
    try:
        return _FIT.get(name, _text)(value)
    except (ValueError, TypeError, OverflowError, InvalidOperation) as error:
        raise StatementError(f"{_text(value)!r} cannot become {name}{_REMEDY.get(name, '')}") from error


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(value, bool):
        return str(int(value))
    return value if isinstance(value, str) else repr(value)


def _number(value: object) -> int | float:
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, str):
        return float(value)
    raise TypeError


def _integer(value: object) -> int:
    if isinstance(value, str):
        return int(value)
    number = _number(value)
    if number != int(number):
        raise ValueError
    return int(number)


def _float(value: object) -> float:
    return float(_number(value))


def _decimal(value: object) -> Decimal:
    return Decimal(_text(value))


def _boolean(value: object) -> bool:
    number = _integer(value)
    if number not in (0, 1):
        raise ValueError
    return bool(number)


def _moment(value: object) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
        value = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if not isinstance(value, datetime):
        raise TypeError
    return value


def _plain_moment(value: object) -> datetime:
    return _moment(value).astimezone(UTC).replace(tzinfo=None)


def _json(value: object) -> str:
    return dumps(_text(value) if isinstance(value, datetime) else value)


_FIT: Final[dict[str, Callable[[object], object]]] = {
    "smallint": _integer,
    "integer": _integer,
    "bigint": _integer,
    "real": _float,
    "double precision": _float,
    "numeric": _decimal,
    "boolean": _boolean,
    "timestamp with time zone": _moment,
    "timestamp without time zone": _plain_moment,
    "date": lambda value: _plain_moment(value).date(),
    "time without time zone": lambda value: _plain_moment(value).time(),
    "json": _json,
    "jsonb": _json,
}
"""All others take text."""
_WHOLE: Final = "; write :value::float8 when it is to be rounded, or part of a calculation"
_TIME: Final = "; write :time, or to_timestamp(:epoch)"
_REMEDY: Final = {
    "smallint": _WHOLE,
    "integer": _WHOLE,
    "bigint": _WHOLE,
    "timestamp with time zone": _TIME,
    "timestamp without time zone": _TIME,
    "date": _TIME,
}
