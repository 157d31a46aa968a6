"""The services of the REST API in memory: no store, no manager, no device. For tests and for measuring."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from pydatacoll.api.access import Access
from pydatacoll.api.services import CommandKind, LinkState, Services
from pydatacoll.codec.entry import encode_entry
from pydatacoll.errors import Invalid, PyDataCollError
from pydatacoll.model import PointId, Sample
from pydatacoll.model.alarm import Alarm, AlarmId, State, Transition
from pydatacoll.model.change import apply
from pydatacoll.model.registry import Registry
from pydatacoll.model.steps import Steps, finish
from pydatacoll.model.transaction import Transaction
from pydatacoll.model.validation import Schemas
from pydatacoll.settings import Settings
from pydatacoll.store.alarms import Outcome, TransitionId, Wanted
from pydatacoll.store.audit import AuditFilter, AuditPage
from pydatacoll.store.commands import CommandReply, CommandRequest
from pydatacoll.store.queries import QueryReply, What
from pydatacoll.store.status import Link

T = TypeVar("T")


class FakeAudit:
    """The trail in memory; ``entries`` are as they come, oldest first.

    ``asked`` is the filter of the last reading, ``page`` what is answered; ``failure`` is raised instead of
    writing.
    """

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.asked: tuple[AuditFilter, int, str | None] | None = None
        self.page = AuditPage([])
        self.failure: Exception | None = None

    def append(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """What a commit does."""
        self.entries += [msgspec.json.decode(msgspec.json.encode(entry)) for entry in entries]

    async def write(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """See :class:`pydatacoll.api.services.AuditTrail`."""
        if self.failure is not None:
            raise self.failure
        self.append(entries)

    async def read(self, wanted: AuditFilter, limit: int, before: str | None = None) -> AuditPage:
        """See :class:`pydatacoll.api.services.AuditTrail`."""
        self.asked = wanted, limit, before
        return self.page


class FakeRepository:
    """Transactions on a registry in memory, audited. ``failure`` is raised instead of committing, when set."""

    def __init__(self, schemas: Schemas, trail: FakeAudit) -> None:
        self.registry = Registry()
        self._trail = trail
        self.failure: Exception | None = None
        self._schemas = schemas

    async def transact(self, fn: Callable[[Transaction], T], *, dry_run: bool = False) -> T:
        """See :class:`pydatacoll.api.services.Repository`."""
        if self.failure is not None:
            raise self.failure
        transaction = Transaction(self.registry, self._schemas)
        result = fn(transaction)
        if not dry_run and transaction.changes:
            self._trail.append(transaction.entries)
            apply(self.registry, transaction.changes)
        return result

    async def transact_steps(self, fn: Callable[[Transaction], Steps[T]], *, dry_run: bool = False) -> T:
        """See :class:`pydatacoll.api.services.Repository`."""
        return await self.transact(lambda tx: finish(fn(tx)), dry_run=dry_run)


@dataclass
class FakeHistory:
    """``samples`` holds the recent samples of each point, oldest first."""

    samples: dict[PointId, list[Sample]] = field(default_factory=dict)

    async def latest_entries(self, points: Sequence[PointId]) -> list[str | None]:
        return [encode_entry(found[-1]) if (found := self.samples.get(point)) else None for point in points]

    async def recent(
        self, point: PointId, *, limit: int | None = None, since: float | None = None, until: float | None = None
    ) -> list[Sample]:
        found = [
            sample
            for sample in self.samples.get(point, [])
            if (since is None or sample.time >= since) and (until is None or sample.time <= until)
        ]
        return found if limit is None else found[max(0, len(found) - limit) :]

    async def at(self, point: PointId, index: int) -> Sample | None:
        found = self.samples.get(point, [])
        return found[index] if -len(found) <= index < len(found) else None


@dataclass
class FakeStatus:
    """``known`` holds the links that are not ``no_manager``."""

    known: dict[str, LinkState] = field(default_factory=dict)
    details: dict[str, dict[str, Any]] = field(default_factory=dict)
    abandoned: frozenset[str] = frozenset()

    async def links(self, device_ids: Sequence[str]) -> list[LinkState]:
        return [self.known.get(device_id) or Link("no_manager") for device_id in device_ids]

    async def device(self, device_id: str) -> dict[str, Any]:
        return self.details.get(device_id, {})

    async def unmanaged(self, device_ids: Iterable[str]) -> frozenset[str]:
        return self.abandoned & set(device_ids)


class FakeAlarms:
    """Alarms in memory. ``done`` holds what persons did, ``steps`` is the history, newest first; ``refused``, when
    set, is the state that everything is refused in."""

    def __init__(self) -> None:
        self.alarms: dict[AlarmId, Alarm] = {}
        self.done: list[tuple[Any, ...]] = []
        self.steps: list[tuple[TransitionId, Transition]] = []
        self.refused: State | None = None

    async def live(self) -> Mapping[AlarmId, Alarm]:
        return self.alarms

    async def one(self, alarm: AlarmId) -> Alarm | None:
        return self.alarms.get(alarm)

    def _do(self, alarm: AlarmId, state: State, **more: Any) -> Outcome:
        if self.refused is not None:
            return Outcome(False, self.refused)
        if state == "normal":
            self.alarms.pop(alarm, None)
        else:
            known = self.alarms.get(alarm) or Alarm(state=state, active=False)
            self.alarms[alarm] = msgspec.structs.replace(known, state=state, **more)
        return Outcome(True, state)

    async def ack(self, alarm: AlarmId, user: str, note: str) -> Outcome:
        self.done.append(("ack", alarm, user, note))
        active = alarm in self.alarms and self.alarms[alarm].active
        return self._do(alarm, "active_acknowledged" if active else "normal", user=user, note=note)

    async def shelve(self, alarm: AlarmId, user: str, note: str, **more: Any) -> Outcome:
        self.done.append(("shelve", alarm, user, note, more))
        return self._do(alarm, "shelved", user=user, note=note)

    async def unshelve(self, alarm: AlarmId, user: str, note: str) -> Outcome:
        self.done.append(("unshelve", alarm, user, note))
        return self._do(alarm, "normal")

    async def bring_back(self) -> int:
        return 0

    async def history(
        self, wanted: Wanted, limit: int, before: TransitionId | None = None
    ) -> list[tuple[TransitionId, Transition]]:
        found = [step for step in self.steps if wanted.matches(step[1]) and (before is None or step[0] < before)]
        return found[:limit]

    def place(self, milliseconds: int, number: int, device_id: str) -> TransitionId:
        return TransitionId(milliseconds, number, len(device_id))


_NOTHING: dict[str, dict[str, Any]] = {
    "frames": {"size": 0, "frames": []},
    "probe": {
        "reachable": False,
        "seconds": 0.0,
        "error": "no device here",
        "raw": None,
        "sample": None,
        "interpretations": [],
    },
    "interrogate": {"results": []},
    "discovered": {"discovered": []},
}


@dataclass
class FakeCommands:
    """Confirms every command with the value asked for, or replies what ``outcome`` says.

    ``word`` is the outcome of those that are confirmed. ``taken`` holds the kind and the request of every command
    that came so far. Questions are answered with ``body``, or else with nothing found, and kept in ``asked``.
    """

    outcome: PyDataCollError | None = None
    word: str = ""
    value: bool | int | float | str = 42
    time: float = 1_700_000_000.0
    taken: list[tuple[CommandKind, CommandRequest]] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    body: Any = None
    answers: dict[tuple[str, str], tuple[bytes, QueryReply]] = field(default_factory=dict)

    async def execute(self, kind: CommandKind, requests: Sequence[CommandRequest]) -> list[CommandReply]:
        replies = []
        for request in requests:
            self.taken.append((kind, request))
            command_id = f"c{len(self.taken)}"
            if self.outcome is not None:
                replies.append(CommandReply.failed(self.outcome, command_id))
            else:
                value = request.value if kind == "ctrl" else self.value
                replies.append(CommandReply(200, Sample(self.time, value), command_id, outcome=self.word))
        return replies

    async def query(self, what: What, device_id: str, body: dict[str, Any], seconds: float) -> QueryReply:
        self.asked.append((what, device_id, body))
        if self.outcome is not None:
            return QueryReply.failed("q", self.outcome)
        return QueryReply("q", 200, self.body or _NOTHING[what])

    async def once(self, user: str, key: str, what: bytes, ask: Callable[[], Awaitable[QueryReply]]) -> QueryReply:
        if (user, key) not in self.answers:
            self.answers[user, key] = what, await ask()
        known, reply = self.answers[user, key]
        error = Invalid("this Idempotency-Key was used for another command")
        return reply if known == what else QueryReply.failed("", error)


@dataclass
class FakeBackend:
    """All fakes together; ``services`` is what the application takes."""

    schemas: Schemas
    settings: Settings = field(default_factory=Settings)
    reasons: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.audit = FakeAudit()
        self.repository = FakeRepository(self.schemas, self.audit)
        self.history = FakeHistory()
        self.status = FakeStatus()
        self.commands = FakeCommands()
        self.alarms = FakeAlarms()

    async def _readiness(self) -> list[str]:
        return self.reasons

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The audit trail, oldest first."""
        return self.audit.entries

    @property
    def services(self) -> Services:
        return Services(
            settings=self.settings,
            schemas=self.schemas,
            repository=self.repository,
            history=self.history,
            status=self.status,
            commands=self.commands,
            access=Access(self.settings.auth),
            readiness=self._readiness,
            metrics=lambda: b"# HELP pydatacoll_up 1\npydatacoll_up 1\n",
            audit=self.audit,
            alarms=self.alarms,
        )
