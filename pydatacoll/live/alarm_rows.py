"""Alarms as they are shown. Pure."""

from __future__ import annotations

from typing import Any

from pydatacoll.codec.json import decode_text
from pydatacoll.model.alarm import Alarm, AlarmId


def alarm_row(alarm: AlarmId, found: Alarm) -> dict[str, Any]:
    """An alarm, JSON types."""
    return {
        "id": str(alarm),
        **alarm._asdict(),
        "state": found.state,
        "active": found.active,
        "priority": found.priority,
        "raised": found.raised or None,
        "time": found.time or None,
        "value": decode_text(found.value),
        "quality": decode_text(found.quality),
        "limit": decode_text(found.limit),
        "warn_msg": found.message,
        "user": found.user,
        "noted": found.noted or None,
        "note": found.note,
        "until": found.until or None,
    }
