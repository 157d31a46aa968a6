"""What travels between API server and manager for a call or a control."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pydatacoll.errors import DeviceError, PyDataCollError
from pydatacoll.model import PointId, Sample, Value

Kind = Literal["call", "ctrl"]


class CommandRequest(msgspec.Struct, frozen=True):
    """One point to be read or written, as the API has checked it.

    :ivar expires_in: seconds after which the command must not be started any more.
    :ivar selection: the selection of which it is the execute.
    """

    point: PointId
    value: Value = None
    mode: str | None = None
    verify: bool = False
    expires_in: float | None = None
    reason: str | None = None
    selection: str = ""
    idempotency_key: str | None = None
    user: str = ""
    source: str = ""


class CommandReply(msgspec.Struct, frozen=True):
    """What became of it. ``status`` is an HTTP status; ``sample`` is there for 200; ``outcome`` is one word for
    programs where the protocol tells more than the status does."""

    status: int
    sample: Sample | None = None
    command_id: str = ""
    title: str = ""
    detail: str = ""
    outcome: str = ""

    @classmethod
    def failed(cls, error: PyDataCollError, command_id: str = "") -> CommandReply:
        outcome = error.outcome if isinstance(error, DeviceError) else ""
        return cls(error.status, None, command_id, error.title, str(error), outcome)


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """One point of a message."""

    term_id: str
    item_id: str
    value: Value = None
    mode: str | None = None
    verify: bool = False
    selection: str = ""


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request on ``CHANNEL:DEVICE_CALL`` or ``CHANNEL:DEVICE_CTRL``: points of one device, run together.

    ``user``, ``source``, ``reason`` and ``before``, the last known value of each part when the command was opened,
    are for the audit trail, where the manager writes the result.
    """

    id: str
    device_id: str
    parts: list[Part]
    reply_to: str = ""
    user: str = ""
    source: str = ""
    reason: str = ""
    before: list[Value] = []

    @property
    def fields(self) -> list[str]:
        """``term_id:item_id`` of each part."""
        return [f"{part.term_id}:{part.item_id}" for part in self.parts]

    def audit(self, index: int) -> dict[str, Any]:
        """The audit entry of one part, without its result."""
        part = self.parts[index]
        entry: dict[str, Any] = {
            "action": "ctrl",
            "user": self.user,
            "source": self.source,
            "object": f"{self.device_id}:{part.term_id}:{part.item_id}",
            "after": part.value,
            "command_id": part_id(self.id, index, len(self.parts)),
        }
        if index < len(self.before):
            entry["before"] = self.before[index]
        if part.mode is not None:
            entry["mode"] = part.mode
        if part.verify:
            entry["verify"] = True
        if part.selection:
            entry["selection_id"] = part.selection
        if self.reason:
            entry["reason"] = self.reason
        return entry


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of one part: a sample (epoch seconds, quality as bit set), or why there is none."""

    status: int
    time: float = 0.0
    value: Value = None
    quality: int = 0
    title: str = ""
    detail: str = ""
    outcome: str = ""

    @classmethod
    def of(cls, reply: CommandReply) -> Result:
        if reply.sample is None:
            return cls(reply.status, title=reply.title, detail=reply.detail, outcome=reply.outcome)
        return cls(reply.status, *reply.sample, outcome=reply.outcome)

    def reply(self, command_id: str) -> CommandReply:
        if self.status != 200:
            return CommandReply(self.status, None, command_id, self.title, self.detail, self.outcome)
        sample = Sample(self.time, self.value, self.quality)
        return CommandReply(200, sample, command_id, outcome=self.outcome)


_OK = {"": "ok", "terminated": "ok", "confirmed": "ok (confirmed, not terminated)"}


def audit_result(reply: CommandReply) -> str:
    """The ``result`` of an audit entry; what begins with ``ok`` is no failure."""
    if reply.status == 200:
        return _OK.get(reply.outcome, f"ok ({reply.outcome})")
    return f"{reply.status} {reply.detail}"


class Reply(msgspec.Struct, frozen=True):
    """The answer to a message, on its ``reply_to`` channel and in ``COMMAND:{id}``."""

    id: str
    results: list[Result]


def part_id(message_id: str, index: int, count: int) -> str:
    """``command_id`` of one part of a message."""
    return message_id if count == 1 else f"{message_id}.{index}"


encode = msgspec.json.encode
decode_message = msgspec.json.Decoder(Message).decode
decode_reply = msgspec.json.Decoder(Reply).decode
