"""What the handlers need of the rest of the system, behind small protocols so that tests can use fakes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from pydatacoll.api.access import Access
from pydatacoll.api.body import Arriving
from pydatacoll.api.imports import Exports, Imports
from pydatacoll.api.refusals import Refusals
from pydatacoll.api.stats import HttpStats
from pydatacoll.archive.shapes import AlarmQuery, AlarmStep, Bucket, Span, Stored
from pydatacoll.archive.sql_template import Template
from pydatacoll.archive.sql_tokens import Kind as DatabaseKind
from pydatacoll.errors import NotFound
from pydatacoll.live.feed import Feed
from pydatacoll.model import PointId, Sample
from pydatacoll.model.alarm import Alarm, AlarmId, Transition
from pydatacoll.model.registry import ModelView
from pydatacoll.model.steps import Steps
from pydatacoll.model.transaction import Transaction
from pydatacoll.model.validation import Schemas
from pydatacoll.settings import AuthSettings, Settings
from pydatacoll.store.alarms import Outcome, TransitionId, Wanted
from pydatacoll.store.audit import AuditFilter, AuditPage
from pydatacoll.store.commands import CommandReply, CommandRequest
from pydatacoll.store.plugin_forget import Held
from pydatacoll.store.plugin_overview import PluginOverview
from pydatacoll.store.queries import QueryReply, What

T = TypeVar("T")
CommandKind = Literal["call", "ctrl"]


class Repository(Protocol):
    """The model: reading in memory, writing in transactions."""

    @property
    def registry(self) -> ModelView: ...

    async def transact(self, fn: Callable[[Transaction], T], *, dry_run: bool = False) -> T:
        """Run ``fn`` on a transaction and commit it, all or nothing; ``fn`` may run more than once."""

    async def transact_steps(self, fn: Callable[[Transaction], Steps[T]], *, dry_run: bool = False) -> T:
        """The same for what may take long: others are answered between the steps."""


class History(Protocol):
    """Latest values and recent samples."""

    async def latest_entries(self, points: Sequence[PointId]) -> list[str | None]:
        """Latest values as they are stored, see :mod:`pydatacoll.codec.entry`."""

    async def recent(
        self, point: PointId, *, limit: int | None = None, since: float | None = None, until: float | None = None
    ) -> list[Sample]:
        """Oldest first; the newest ``limit`` of those in the span."""

    async def at(self, point: PointId, index: int) -> Sample | None:
        """By list index: 0 the oldest, -1 the newest."""


class Archive(Protocol):
    """What was archived, see :class:`pydatacoll.archive.archive.Archive`."""

    @property
    def kind(self) -> DatabaseKind: ...

    async def series(self, device_ids: Collection[str] | None) -> dict[PointId, int]: ...

    def pages(self, span: Span, limit: int | None = None) -> AsyncGenerator[Sequence[Stored], None]: ...

    async def ends(self, series: Iterable[int], since: int, until: int) -> tuple[int, int] | None: ...

    async def buckets(self, span: Span, width: int) -> list[Bucket]: ...

    async def alarms(self, wanted: AlarmQuery, limit: int) -> Sequence[AlarmStep]: ...

    async def check(self, template: Template) -> None: ...


class LinkState(Protocol):
    """State of the way to a device; ``since`` in epoch seconds."""

    @property
    def state(self) -> str: ...
    @property
    def since(self) -> float | None: ...
    @property
    def last_error(self) -> str | None: ...


class Status(Protocol):
    """What managers say about their devices."""

    async def links(self, device_ids: Sequence[str]) -> Sequence[LinkState]: ...

    async def device(self, device_id: str) -> Mapping[str, Any]: ...

    async def unmanaged(self, device_ids: Iterable[str]) -> frozenset[str]:
        """Those devices that no manager runs now."""


class AuditTrail(Protocol):
    """Who changed or controlled what. Changes and controls write their entries themselves."""

    async def write(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Append entries."""

    async def read(self, wanted: AuditFilter, limit: int, before: str | None = None) -> AuditPage:
        """The newest that match, all older than the entry ``before``."""


class Alarms(Protocol):
    """Alarms as they live in the store, see :class:`pydatacoll.store.alarms.Alarms`."""

    async def live(self) -> Mapping[AlarmId, Alarm]: ...

    async def one(self, alarm: AlarmId) -> Alarm | None: ...

    async def ack(self, alarm: AlarmId, user: str, note: str) -> Outcome: ...

    async def shelve(
        self, alarm: AlarmId, user: str, note: str, *, seconds: float, limit: str, priority: str, message: str
    ) -> Outcome: ...

    async def unshelve(self, alarm: AlarmId, user: str, note: str) -> Outcome: ...

    async def bring_back(self) -> int: ...

    async def history(
        self, wanted: Wanted, limit: int, before: TransitionId | None = None
    ) -> Sequence[tuple[TransitionId, Transition]]: ...

    def place(self, milliseconds: int, number: int, device_id: str) -> TransitionId: ...


class Commands(Protocol):
    """The way to the devices. Never raises for what a single device did; the reply says it."""

    async def execute(self, kind: CommandKind, requests: Sequence[CommandRequest]) -> Sequence[CommandReply]: ...

    async def query(self, what: What, device_id: str, body: dict[str, Any], seconds: float) -> QueryReply:
        """Ask the manager of a device something; waits so many seconds at most."""

    async def once(self, user: str, key: str, what: bytes, ask: Callable[[], Awaitable[QueryReply]]) -> QueryReply:
        """The answer to the first request that a user sent with this ``Idempotency-Key``; 409 while it is not
        known, 422 when ``what`` is another. ``ask`` is called for the first one only; when it raises, nothing was
        asked."""


class Finding(Protocol):
    """One check of the diagnosis."""

    @property
    def check(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def remedy(self) -> str: ...


async def _nothing_found(_: Callable[[], ModelView]) -> Sequence[Finding]:
    return ()


async def _no_plugins(_: Sequence[str]) -> Sequence[PluginOverview]:
    return ()


async def _no_plugin(plugin: str) -> Held:
    raise NotFound(f"plugin not found! {plugin}")


async def _none_unused(plugin: str) -> None:
    raise NotFound(f"plugin not found! {plugin}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything a handler may use.

    :ivar archive: ``None`` when there is none.
    :ivar readiness: reasons not to be ready; empty when ready.
    :ivar metrics: the Prometheus text.
    :ivar http: counts requests.
    :ivar diagnosis: looks after everything; of devices after those in the model that it is given.
    :ivar plugins: looks at all plugins, at least those named.
    :ivar plugin_unused: raises NotFound for a plugin that was never run, Conflict for one that is in use.
    :ivar plugin_forget: lets go of the place of one that is not.
    :ivar imports: what is being imported.
    :ivar exports: how many exports are under way.
    :ivar arriving: how much of bodies is on its way.
    :ivar live: live push; ``None`` where it does not run.
    :ivar refusals: requests that were refused, on their way into the audit trail.
    """

    settings: Settings
    schemas: Schemas
    repository: Repository
    history: History
    status: Status
    commands: Commands
    readiness: Callable[[], Awaitable[Sequence[str]]]
    metrics: Callable[[], bytes | Awaitable[bytes]]
    audit: AuditTrail
    alarms: Alarms
    plugins_enabled: frozenset[str] = field(default_factory=frozenset)
    plugins: Callable[[Sequence[str]], Awaitable[Sequence[PluginOverview]]] = _no_plugins
    plugin_unused: Callable[[str], Awaitable[None]] = _none_unused
    plugin_forget: Callable[[str], Awaitable[Held]] = _no_plugin
    archive: Archive | None = None
    access: Access = field(default_factory=lambda: Access(AuthSettings()))
    refusals: Refusals = field(default_factory=Refusals)
    http: HttpStats = field(default_factory=HttpStats)
    diagnosis: Callable[[Callable[[], ModelView]], Awaitable[Sequence[Finding]]] = _nothing_found
    imports: Imports = field(default_factory=Imports)
    exports: Exports = field(default_factory=Exports)
    arriving: Arriving = field(default_factory=Arriving)
    live: Feed | None = None
