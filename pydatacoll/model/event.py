"""Events: what happened, in words for a person and in members for a program. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, get_args

from msgspec import Struct

from pydatacoll.model.alarm import AlarmId, Transition

Kind = Literal["link", "alarm", "model", "control", "system"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

Severity = Literal["info", "warning", "error"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)

_WORDS: Final = {
    "raise": "raised",
    "clear": "back to normal",
    "remove": "removed",
    "ack": "acknowledged",
    "shelve": "shelved",
    "unshelve": "no longer shelved",
}


class Event(Struct, frozen=True, kw_only=True):
    """Something that happened.

    :ivar device_id: empty: none, or several.
    :ivar object: what it happened to: a device, an alarm, an object of the model, a process.
    :ivar text: one line, in English.
    :ivar details: what a program may want to know, by kind.
    :ivar for_all: of the kind ``system``: it is about the service as such, and says nothing of devices, hosts,
        addresses, files or other systems, so that tokens for some devices may see it, too.
    """

    kind: Kind
    text: str
    severity: Severity = "info"
    device_id: str = ""
    object: str = ""
    details: dict[str, Any] = {}
    for_all: bool = False


class Seen(NamedTuple):
    """An event, and whom it concerns.

    :ivar devices: none: the system.
    :ivar whole: the model or the system as a whole, which no token for some devices sees.
    """

    event: Event
    devices: tuple[str, ...] = ()
    whole: bool = False


def of_event(event: Event) -> Seen:
    """Any event that is not made of something else: what it says of itself."""
    devices = event.details.get("devices") or ([event.device_id] if event.device_id else [])
    return Seen(event, tuple(devices), whole=not devices and not event.for_all)


def of_alarm(step: Transition, decode: Any) -> Seen:
    """A step in the life of an alarm.

    :param decode: JSON text -> value.
    """
    alarm = AlarmId.parse(step.alarm)
    value, limit = decode(step.value), decode(step.limit)
    text = f"{alarm.point} {alarm.kind}: {_WORDS[step.event]}"
    if step.event in {"raise", "clear"}:
        text += f" at {_said(value)}" + ("" if limit is None else f" (limit {limit})")
    if step.message:
        text += f": {step.message}"
    if step.user:
        text += f", by {step.user}"
    severity: Severity = "info"
    if step.event == "raise":
        severity = "error" if step.priority in {"high", "critical"} else "warning"
    details = {
        "event": step.event,
        "state": step.state,
        "kind": alarm.kind,
        "priority": step.priority,
        "time": step.time,
        "value": value,
        "quality": decode(step.quality),
        "limit": limit,
        "warn_msg": step.message,
        "user": step.user,
        "note": step.note,
    }
    event = Event(
        kind="alarm",
        text=text,
        severity=severity,
        device_id=alarm.device_id,
        object=step.alarm,
        details=details,
    )
    return Seen(event, (alarm.device_id,))


_COPIED: Final = ("action", "user", "source", "result", "counts", "reason", "command_id", "part", "parts")
_OF_MODEL: Final = ("device", "term", "item", "term_item", "formula", "demo", "import")
_PAST: Final = {
    "create": "created",
    "replace": "changed",
    "merge": "changed",
    "delete": "deleted",
    "batch": "changed together",
    "clone": "copied",
}


def of_audit(entry: Mapping[str, Any]) -> Seen | None:
    """A change of the model, or a control that has ended, as the audit trail has it; ``None`` of anything else."""
    action, name, result = entry["action"], entry["object"], entry["result"]
    if action == "ctrl":
        return None if result is None else _control(entry)
    what, _, verb = action.partition(".")
    if what not in _OF_MODEL:
        return None
    devices = tuple(entry["devices"])
    counted = _counted(entry.get("counts"))
    text = f"{what.replace('_', ' ')} {name} {_PAST.get(verb, verb)}".rstrip()
    if counted and (not verb or verb.startswith("batch")):
        text = counted if verb else f"{what}: {counted}"
    elif counted and verb == "clone":
        text += f": {counted}"
    text += _by(entry)
    event = Event(
        kind="model",
        text=text,
        severity=_severity(entry),
        device_id=devices[0] if len(devices) == 1 else "",
        object=name,
        details={member: entry[member] for member in _COPIED if member in entry} | {"devices": list(devices)},
    )
    return Seen(event, devices, whole=not devices)


def _counted(counts: Any) -> str:
    """``{"devices": {"created": 1, "changed": 2}}`` -> ``1 device created, 2 devices changed``."""
    if not isinstance(counts, dict):
        return ""
    return ", ".join(
        f"{number} {(kind[:-1] if number == 1 else kind).replace('_', ' ')} {what}"
        for kind, found in counts.items()
        if isinstance(found, dict)
        for what, number in found.items()
    )


def _control(entry: Mapping[str, Any]) -> Seen:
    name, devices = entry["object"], tuple(entry["devices"])
    details = {member: entry[member] for member in (*_COPIED, "before", "after") if member in entry}
    text = f"{name} set to {_said(entry['after'])}" + _by(entry)
    if _severity(entry) != "info":
        text = f"{name} not set to {_said(entry['after'])}{_by(entry)}: {entry['result']}"
    device_id = devices[0] if devices else name.partition(":")[0]
    event = Event(
        kind="control",
        text=text,
        severity=_severity(entry),
        device_id=device_id,
        object=name,
        details=details,
    )
    return Seen(event, (device_id,))


def _said(value: Any) -> Any:
    """A value as it is shown everywhere: a state is 1 or 0."""
    return int(value) if isinstance(value, bool) else value


def _by(entry: Mapping[str, Any]) -> str:
    return f" by {entry['user']}" if entry["user"] else ""


def _severity(entry: Mapping[str, Any]) -> Severity:
    result = entry["result"]
    return "info" if result is None or result == "ok" or result.startswith("ok (") else "warning"
