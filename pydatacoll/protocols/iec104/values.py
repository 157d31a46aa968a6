"""Engineering value -> raw value -> information element of a command. Pure.

=====================  ==========================  ====================================================
element                raw value                   also taken
=====================  ==========================  ====================================================
single command         ``True``, ``False``         1, 0, ``"on"``, ``"off"``
double command         1 off, 2 on                 ``true``, ``false``, ``"on"``, ``"off"``
regulating step        1 lower, 2 higher           ``"lower"``, ``"higher"``
set-point, normalized  -1 to 1 - 2^-15             numbers
set-point, scaled      -32768 to 32767             numbers
set-point, float       32-bit floating point       numbers
bitstring              0 to 2^32 - 1               numbers
=====================  ==========================  ====================================================

Numbers and booleans may be texts. A normalized value and a floating point number are measures: the nearest one
that the type has is taken, at most 2^-16 of the range away. Everything else is exact or refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from pydatacoll.codec import engineering
from pydatacoll.errors import Invalid
from pydatacoll.model import TermItem, Value
from pydatacoll.protocols.iec104 import control
from pydatacoll.protocols.iec104.config import Command, Target
from pydatacoll.protocols.iec104.elements import Element

_INT16: Final = (-32_768, 32_767)
_UINT32: Final = (0, 0xFFFF_FFFF)
_STEPS: Final = 32_768
"""Of a normalized value from 0 to 1."""
_NOISE: Final = 1e-6
"""Part of such a step that scaling may lose."""
_DOUBLE: Final[Mapping[str, int]] = {"1": 1, "2": 2, "off": 1, "on": 2, "false": 1, "true": 2}
_STEP: Final[Mapping[str, int]] = {"1": 1, "2": 2, "lower": 1, "higher": 2}


def to_raw(target: Target, item: TermItem, value: Value) -> Value:
    """Engineering value -> the raw value that the command of a point carries.

    :raises Invalid: the command cannot hold it; nothing is wrapped or cut off.
    """
    if target.command is None:
        raise Invalid("the point has no command: set its command_type, or a code_type that has one")
    return _kind(target.command).convert(value, item.coefficient, item.base_val)


def to_element(command: Command, raw: Value, *, select: bool) -> Element:
    """The element of a command, to select or to execute.

    :raises Invalid: ``raw`` is not of the kind that :func:`to_raw` gives.
    """
    kind = _kind(command)
    return kind.make(kind.convert(raw, 1.0, 0.0), command.qualifier, select)


def _single(value: Value, coefficient: float, base: float) -> bool:
    if isinstance(value, str) and value in ("on", "off"):
        return value == "on"
    return engineering.to_bool(value)


def _double(value: Value, coefficient: float, base: float) -> int:
    if isinstance(value, bool):
        return 2 if value else 1
    return _one_of(_DOUBLE, value, "1 (off) or 2 (on)")


def _step(value: Value, coefficient: float, base: float) -> int:
    return _one_of(_STEP, value, "1 (lower) or 2 (higher)")


def _one_of(states: Mapping[str, int], value: Value, expected: str) -> int:
    state = states.get(value) if isinstance(value, str) else None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value in (1, 2):
        state = int(value)
    if state is None:
        raise Invalid(f"{engineering.shown(value)}: {expected} is expected; the standard permits no other command")
    return state


def _normalized(value: Value, coefficient: float, base: float) -> float:
    raw = engineering.unscaled(value, coefficient, base, "a normalized value") * _STEPS
    if not -_STEPS - _NOISE <= raw <= _STEPS - 1 + _NOISE:
        ends = sorted((base - coefficient, base + coefficient * (1 - 1 / _STEPS)))
        raise Invalid(
            f"{value!r} is outside the range of the point, {ends[0]:.8g} to {ends[1]:.8g}"
            " (a normalized value ends one step, 2^-15, below 1)"
        )
    return round(raw) / _STEPS


def _scaled(value: Value, coefficient: float, base: float) -> int:
    return engineering.to_integer(value, _INT16, coefficient, base, "a scaled value")


def _float(value: Value, coefficient: float, base: float) -> float:
    return engineering.to_float(value, "<f", coefficient, base, "32-bit floating point")


def _bits(value: Value, coefficient: float, base: float) -> int:
    return engineering.to_integer(value, _UINT32, coefficient, base, "32 bits")


def _bitstring(bits: int, qualifier: int, select: bool) -> Element:
    return control.BitStringCommand(bits)


class _Kind(NamedTuple):
    """:ivar convert: value, coefficient, base -> raw value; states and bits are not scaled.
    :ivar make: raw value, qualifier, select -> element."""

    convert: Callable[[Value, float, float], Value]
    make: Callable[[Any, int, bool], Element]


_KINDS: Final[Mapping[type[Element], _Kind]] = {
    control.SingleCommand: _Kind(_single, control.SingleCommand),
    control.DoubleCommand: _Kind(_double, control.DoubleCommand),
    control.StepCommand: _Kind(_step, control.StepCommand),
    control.NormalizedSetPoint: _Kind(_normalized, control.NormalizedSetPoint),
    control.ScaledSetPoint: _Kind(_scaled, control.ScaledSetPoint),
    control.ShortFloatSetPoint: _Kind(_float, control.ShortFloatSetPoint),
    control.BitStringCommand: _Kind(_bits, _bitstring),
}


def _kind(command: Command) -> _Kind:
    element = command.info.element
    if element is None or element not in _KINDS:
        raise Invalid(f"{command.info.name} is no command of a point")
    return _KINDS[element]
