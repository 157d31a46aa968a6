"""Information elements and time tags in plain words, for a person who looks at the frame log. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydatacoll.model.quality import FLAG_NAMES
from pydatacoll.protocols.iec104 import control as c
from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.protocols.iec104.times import Cp24, Cp56, Zone

_STATES = ("intermediate", "off", "on", "indeterminate")
_DOUBLE_COMMANDS = ("0 (not permitted)", "off", "on", "3 (not permitted)")
_STEP_COMMANDS = ("0 (not permitted)", "lower", "higher", "3 (not permitted)")
_PULSES = {1: "short pulse", 2: "long pulse", 3: "persistent"}
_FREEZE = ("read", "freeze", "freeze and reset", "reset")
_STARTED = ("power on", "local manual reset", "remote reset")
_RESET = {1: "the whole process", 2: "pending events with time tag"}
_LIMITS = {1: "threshold", 2: "smoothing factor", 3: "low limit", 4: "high limit"}
_ACTIVATED = {1: "the parameters loaded before", 2: "the parameter of the object", 3: "its cyclic sending"}
_PHASES = ("general", "L1", "L2", "L3", "earth current", "reverse")
_UTC = Zone()


def tag(time: Cp24 | Cp56) -> str:
    """A time tag as the clock of the station shows it, such as ``2026-11-21 12:00:00.123 summer time``."""
    seconds = f"{time.minute:02}:{time.milliseconds // 1000:02}.{time.milliseconds % 1000:03}"
    if isinstance(time, Cp24):
        text, valid = f"??:{seconds}", _UTC.seconds(time, 0.0) is not None
    else:
        year = time.year + (1900 if 70 <= time.year <= 99 else 2000)
        text = f"{year}-{time.month:02}-{time.day:02} {time.hour:02}:{seconds}"
        text += " summer time" if time.summer else ""
        valid = _UTC.seconds(time) is not None
    text += " substituted" if time.substituted else ""
    if time.invalid:
        return f"{text} (invalid)"
    return text if valid else f"{text} (no time)"


def element(one: e.Element) -> str:
    """Value, quality and qualifiers, such as ``230.1 good`` or ``on, select``."""
    shape = _SHAPES.get(type(one))
    value = shape(one) if shape is not None else repr(one)
    if isinstance(one, e.Counter) or hasattr(one, "quality"):
        return f"{value} {_quality(one)}"
    return value


def _quality(one: Any) -> str:
    quality = e.quality_of(one)
    flags = [name.replace("_", " ") for name, bit in FLAG_NAMES.items() if quality & bit]
    if hasattr(one, "elapsed") and one.quality & e.EI:
        flags.append("elapsed time invalid")
    return " ".join(flags) or "good"


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _number(value: float) -> str:
    """As many digits as 32 bits hold."""
    return f"{value:.7g}"


def _step(one: e.StepPosition) -> str:
    return f"{one.position}{' transient' if one.transient else ''}"


def _counter(one: e.Counter) -> str:
    flags = [name for name in ("carry", "adjusted") if getattr(one, name)]
    return " ".join([str(one.reading), f"sequence {one.sequence}", *flags])


def _bits(octet: int) -> str:
    return " ".join(name for n, name in enumerate(_PHASES) if octet & 1 << n) or "none"


def _packed(one: e.PackedSingles) -> str:
    return f"{one.status:016b} changed {one.changed:016b}"


def _execute(one: Any) -> str:
    return "select" if one.select else "execute"


def _pulse(one: Any) -> str:
    return _PULSES.get(one.qualifier, f"qualifier {one.qualifier}" if one.qualifier else "")


def _set_point(one: Any) -> str:
    qualifier = f"qualifier {one.qualifier}" if one.qualifier else ""
    return _joined(_number(one.value), _execute(one), qualifier)


def _parameter(one: Any) -> str:
    kind = _LIMITS.get(one.kind, f"kind {one.kind}")
    return _joined(
        f"{kind} {_number(one.value)}", "changed" if one.changed else "", "inactive" if one.inactive else ""
    )


def _interrogation(one: c.Interrogation) -> str:
    number = one.qualifier
    if number == 20:
        return "the whole station (20)"
    return f"group {number - 20} ({number})" if 21 <= number <= 36 else f"qualifier {number}"


def _counters(one: c.CounterInterrogation) -> str:
    group = f"group {one.request}" if 1 <= one.request <= 4 else f"request {one.request}"
    return f"{'all counters' if one.request == 5 else group}, {_FREEZE[one.freeze]}"


def _started(one: c.EndOfInitialization) -> str:
    cause = _STARTED[one.cause] if one.cause < len(_STARTED) else f"cause {one.cause}"
    return _joined(cause, "local parameters changed" if one.changed else "")


_SHAPES: dict[type[e.Element], Callable[[Any], str]] = {
    e.SinglePoint: lambda one: "on" if one.on else "off",
    e.DoublePoint: lambda one: _STATES[one.state],
    e.StepPosition: _step,
    e.BitString: lambda one: f"{one.bits:08x}H",
    e.NormalizedOnly: lambda one: _number(one.value),
    e.Normalized: lambda one: _number(one.value),
    e.Scaled: lambda one: str(one.value),
    e.ShortFloat: lambda one: _number(one.value),
    e.Counter: _counter,
    e.ProtectionEvent: lambda one: f"{_STATES[one.state]} {one.elapsed} ms",
    e.ProtectionStart: lambda one: f"started {_bits(one.start)} {one.elapsed} ms",
    e.ProtectionOutput: lambda one: f"commanded {_bits(one.output)} {one.elapsed} ms",
    e.PackedSingles: _packed,
    c.SingleCommand: lambda one: _joined("on" if one.on else "off", _execute(one), _pulse(one)),
    c.DoubleCommand: lambda one: _joined(_DOUBLE_COMMANDS[one.state], _execute(one), _pulse(one)),
    c.StepCommand: lambda one: _joined(_STEP_COMMANDS[one.state], _execute(one), _pulse(one)),
    c.NormalizedSetPoint: _set_point,
    c.ScaledSetPoint: _set_point,
    c.ShortFloatSetPoint: _set_point,
    c.BitStringCommand: lambda one: f"{one.bits:08x}H",
    c.NormalizedParameter: _parameter,
    c.ScaledParameter: _parameter,
    c.ShortFloatParameter: _parameter,
    c.ParameterActivation: lambda one: _ACTIVATED.get(one.qualifier, f"qualifier {one.qualifier}"),
    c.EndOfInitialization: _started,
    c.Interrogation: _interrogation,
    c.CounterInterrogation: _counters,
    c.TestPattern: lambda one: f"test pattern {one.pattern:04x}H",
    c.TestCounter: lambda one: f"test counter {one.counter}",
    c.ResetProcess: lambda one: _RESET.get(one.qualifier, f"qualifier {one.qualifier}"),
    c.Delay: lambda one: f"{one.milliseconds} ms",
}
