"""Every check of devices and points that needs no device: field and message, with the remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from math import isfinite
from pathlib import PurePosixPath

from pydatacoll.errors import Invalid
from pydatacoll.model import Device, Term, TermItem
from pydatacoll.model.network import literal
from pydatacoll.model.objects import HOST_PATTERN
from pydatacoll.protocols.iec104 import control
from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.protocols.iec104.config import (
    YEAR,
    Iec104Device,
    Iec104TermItem,
    parse_address,
    resolve,
    typed,
)
from pydatacoll.protocols.iec104.times import Zone
from pydatacoll.protocols.iec104.types import TYPES, Direction, TypeInfo, find

_WINTER_AND_SUMMER = (1_768_000_000.0, 1_784_000_000.0)
"""Of 2026, epoch seconds."""

Problem = tuple[str, str]
"""Field and message."""

_MEASURES = (e.Normalized, e.NormalizedOnly, e.Scaled, e.ShortFloat, e.Counter)
_SET_POINTS = (control.NormalizedSetPoint, control.ScaledSetPoint, control.ShortFloatSetPoint)
_POINT_TYPES = "M_SP_TB_1 or another of the monitor direction, or C_SC_NA_1 or another command"


def hosts(device: Device) -> list[Problem]:
    """See :meth:`pydatacoll.sdk.DeviceDriver.hosts`."""
    device = _typed(device)
    fields = ("ip", "redundant")
    return [(field, host) for field, (host, _) in zip(fields, device.places, strict=False)]


def check_device(device: Device) -> list[Problem]:
    """See :meth:`pydatacoll.sdk.DeviceDriver.check_device`."""
    device = _typed(device)
    return [problem for rule in _DEVICE_RULES for problem in rule(device)]


def _typed(device: Device) -> Iec104Device:
    if isinstance(device, Iec104Device):
        return device
    raise TypeError("the device is not of the IEC 104 driver's own type")


def _timers(device: Iec104Device) -> Iterator[Problem]:
    try:
        _ = device.parameters
    except ValueError as error:
        yield "t2", str(error)


def _clock(device: Iec104Device) -> Iterator[Problem]:
    seconds = device.clock_sync
    if not isinstance(seconds, bool) and seconds and not 1 <= seconds <= YEAR:
        yield (
            "clock_sync",
            f"{seconds:g}: true, false or a number of seconds from 1 to {YEAR} is expected",
        )
    try:
        Zone.parse(device.time_zone)
    except ValueError as error:
        yield "time_zone", str(error)


def _places(device: Iec104Device) -> Iterator[Problem]:
    if not device.redundant:
        return
    try:
        (first, port), (second, other_port) = device.places
    except ValueError as error:
        yield "redundant", str(error)
        return
    if not re.match(HOST_PATTERN, second):
        yield "redundant", f"{second!r} is neither an address nor a host name"
    elif port == other_port and _same_host(first, second):
        yield "redundant", "is the same place as ip and port: the second connection must lead to another one"


def _same_host(one: str, other: str) -> bool:
    address = literal(one)
    return one.casefold() == other.casefold() or (address is not None and address == literal(other))


def _tls(device: Iec104Device) -> Iterator[Problem]:
    given = [name for name in ("tls_ca", "tls_certificate", "tls_key", "tls_name") if getattr(device, name)]
    if not device.tls:
        yield from ((name, "has no effect without tls: set tls, or leave it out") for name in given)
    if device.tls_key and not device.tls_certificate:
        yield "tls_certificate", "a key needs its certificate: name its file, or leave tls_key out"
    for name in given:
        text = getattr(device, name)
        if name == "tls_name":
            if not re.match(HOST_PATTERN, text):
                yield name, f"{text!r} is neither an address nor a host name"
        elif not _is_inside(text):
            yield name, f"{text!r} must be the name of a file in the folder of certificates, without .. or a root"


def _is_inside(name: str) -> bool:
    """Whether the name of a file leads to nowhere but into the folder it is in, whatever the operating system."""
    path = PurePosixPath(name)
    return name.isprintable() and not (path.is_absolute() or ".." in path.parts or set(name) & set("\\:"))


def _backend(device: Iec104Device) -> Iterator[Problem]:
    if device.backend != "c104":
        return
    remedy = 'set backend to "native"'
    if device.tls:
        yield "tls", f"the backend c104 has no TLS: {remedy}"
    if device.redundant:
        yield "redundant", f"the backend c104 has no redundancy group: {remedy}"
    if device.clock_interval and not _is_utc(device):
        yield "clock_sync", f"the backend c104 sets clocks to UTC only: {remedy}, or clock_sync to false"


def _is_utc(device: Iec104Device) -> bool:
    """Whether the clock of the station shows UTC; of a zone that is none says so :func:`_clock`."""
    try:
        zone = Zone.parse(device.time_zone)
    except ValueError:
        return True
    return not any(zone.offset(seconds) for seconds in _WINTER_AND_SUMMER)


_DEVICE_RULES: tuple[Callable[[Iec104Device], Iterator[Problem]], ...] = (
    _timers,
    _clock,
    _places,
    _tls,
    _backend,
)


def check(device: Device, term: Term, item: TermItem) -> list[Problem]:
    """See :meth:`pydatacoll.sdk.DeviceDriver.check`."""
    device, term, item = typed(device, term, item)
    wrong: list[Problem] = []
    if item.protocol_code is None:
        if item.writable:
            wrong.append(("protocol_code", "a writable point needs an information object address"))
    else:
        try:
            parse_address(item.protocol_code)
        except ValueError as error:
            wrong.append(("protocol_code", str(error)))
    info = _find("code_type", item.code_type, wrong)
    command = _find("command_type", item.command_type, wrong)
    if wrong:
        return wrong
    wrong += _type_rules(item, info, command) or _command_rules(device, term, item)
    return wrong + _scaling(item, info, command)


def check_select(device: Device, term: Term, item: TermItem) -> None:
    """See :meth:`pydatacoll.sdk.DeviceDriver.check_select`."""
    if _typed(device).backend != "native":
        raise Invalid(
            'the backend c104 cannot hold a selection: give the command at once, or set backend to "native"'
        )
    command = resolve(device, term, item).command
    if command is not None and command.info.element is control.BitStringCommand:
        raise Invalid(f"{command.info.name} cannot be selected; give the command at once")


def _find(field: str, text: str | None, wrong: list[Problem]) -> TypeInfo | None:
    if text is None:
        return None
    try:
        return find(text)
    except ValueError as error:
        wrong.append((field, str(error)))
    return None


def _is_command(info: TypeInfo) -> bool:
    return info.direction is Direction.CONTROL and not info.system and info.element is not None


def _type_rules(item: Iec104TermItem, info: TypeInfo | None, command: TypeInfo | None) -> list[Problem]:
    """Whether the types are those of a point, and fit each other."""
    wrong: list[Problem] = []
    if info is not None and (info.system or not (info.direction is Direction.MONITOR or _is_command(info))):
        wrong.append(("code_type", f"{info.name} ({info.text}) is not the type of a point, as {_POINT_TYPES}"))
    if command is not None and not _is_command(command):
        wrong.append(("command_type", f"{command.name} ({command.text}) is no command that a point can have"))
    if wrong or info is None:
        return wrong
    if info.direction is Direction.CONTROL:
        if not item.writable:
            message = f"{info.name} is a command, which the point is for nothing without: set writable"
            wrong.append(("writable", f"{message}, or give the code_type of what the station sends"))
        if command is not None and command is not info:
            wrong.append(("command_type", f"code_type {info.name} is the command already: leave one of them out"))
    elif command is not None:
        goes_with = TYPES[info.command].element if info.command is not None else None
        if command.element is not goes_with:
            fits = f"only {TYPES[info.command].name} and its like do" if info.command else "no command does"
            wrong.append(
                (
                    "command_type",
                    f"{command.name} does not go with {info.name}, {fits}: make the command a point of its own, "
                    f"with code_type {command.name}",
                )
            )
    return wrong


def _command_rules(device: Iec104Device, term: Term, item: Iec104TermItem) -> list[Problem]:
    """Whether a writable point can be commanded as it is configured."""
    if not item.writable:
        return []
    command = resolve(device, term, item).command
    if command is None:
        if item.code_type is None:
            return [("writable", "to write a point its code_type or its command_type must be set")]
        return [("writable", f"{item.code_type} has no command: leave writable out, or make the command a point")]
    wrong: list[Problem] = []
    element, name = command.info.element, command.info.name
    if element is control.BitStringCommand:
        if command.mode == "select":
            wrong.append(("command_mode", f"{name} cannot be selected: set command_mode of the point to direct"))
        if command.qualifier:
            wrong.append(("qualifier", f"{name} has no qualifier: leave it out"))
    elif element not in _SET_POINTS and command.qualifier > 31:
        wrong.append(("qualifier", f"{command.qualifier} is not within 0 to 31, the qualifiers of {name}"))
    return wrong


def _scaling(item: Iec104TermItem, info: TypeInfo | None, command: TypeInfo | None) -> list[Problem]:
    """States and bits are no quantities: a coefficient would make them unreadable."""
    if (item.coefficient, item.base_val) == (1.0, 0.0):
        return []
    if not (isfinite(item.coefficient) and isfinite(item.base_val)):
        return [("coefficient", "coefficient and base_val must be finite")]
    if item.coefficient == 0 and item.writable:
        return [("coefficient", "a writable point needs a coefficient other than 0")]
    for one in (info, command):
        if one is not None and one.element not in (*_MEASURES, *_SET_POINTS):
            message = (
                f"{one.name} ({one.text}) is no quantity and cannot be scaled: leave coefficient and base_val"
            )
            return [("coefficient", f"{message} out")]
    return []
