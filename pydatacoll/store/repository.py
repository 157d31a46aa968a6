"""The model: in memory for reading, in Redis for keeping, changed atomically by each commit.

Transactions that arrive while a commit is under way are computed one on top of the other and committed together,
so that many callers share a round trip. Other processes learn of a commit from the log, ``STREAM:MODEL``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from pydatacoll.errors import PyDataCollError, StoreError, StoreUnavailable
from pydatacoll.model import PointId
from pydatacoll.model.change import Change, DataOp
from pydatacoll.model.overlay import Overlay
from pydatacoll.model.registry import Registry
from pydatacoll.model.steps import Steps
from pydatacoll.model.transaction import Transaction
from pydatacoll.model.validation import Schemas
from pydatacoll.store import keys, point_data
from pydatacoll.store.client import TIMEOUT, Store, store_errors
from pydatacoll.store.model_ops import Commit
from pydatacoll.store.model_reader import AT_ONCE, ModelReader, take_over
from pydatacoll.store.pace import Pace, collector_paused, let_go
from pydatacoll.store.staging import send_commit
from pydatacoll.store.turn import Turn

log = logging.getLogger(__name__)

T = TypeVar("T")
Callback = Callable[[Sequence[Change] | None], None]

GROUP_JOBS = 256
GROUP_CHANGES = 5_000
"""A group takes no further transaction beyond this many changes."""
ATTEMPTS = 10
"""How often a commit is computed anew because another process was faster."""
BLOCK = 1_000
"""Milliseconds the log is waited for; then the version is compared, which finds a flushed store."""
NEWS_PAUSE = 0.02
"""Seconds between two looks into the log, so that a burst of commits is read at once."""
BACKOFF = (0.05, 2.0)
"""First and longest pause before reconnecting, seconds."""


@dataclass(slots=True, eq=False)
class _Job:
    """``steps``: ``fn`` returns its computation instead of its result."""

    fn: Callable[[Transaction], Any]
    steps: bool
    dry_run: bool
    done: asyncio.Future[Any]


@dataclass(slots=True)
class _Ran:
    """A job that ran on the overlay, and what is to be done when the group is committed."""

    job: _Job
    value: Any
    error: Exception | None
    data: list[DataOp]
    changes: list[Change]


class Repository:
    """The model of one process.

    :ivar registry: the live model; always the same object, read it without asking Redis.
    """

    def __init__(self, store: Store, schemas: Schemas) -> None:
        self.store = store
        self.schemas = schemas
        self.registry = Registry()
        self._reader = ModelReader(store, schemas)
        self._callbacks: list[Callback] = []
        self._jobs: deque[_Job] = deque()
        self._wake = asyncio.Event()
        self._loaded = asyncio.Event()
        self._connected = asyncio.Event()
        self._turn = Turn(store)
        self._lock = asyncio.Lock()
        self._data_lock = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._data_tasks: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> bool:
        """The model is loaded and the store answers."""
        return self._loaded.is_set() and self._connected.is_set()

    async def loaded(self) -> None:
        """Wait until the model is ``ready``."""
        while not self.ready:
            await self._loaded.wait()
            await self._connected.wait()

    async def start(self) -> None:
        """Load the model; when the store is away, go on trying in the background."""
        try:
            async with self._lock:
                await self._refresh()
        except StoreError as error:
            log.warning("the model is not loaded yet: %s", error)
        self._tasks = [
            asyncio.create_task(self._follow_log(), name="model log"),
            asyncio.create_task(self._commit_jobs(), name="model commits"),
        ]

    async def stop(self) -> None:
        """Stop; data of deleted points that is being removed is removed first."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []
        self._refuse_all(StoreUnavailable("the server is stopping"))
        if self._data_tasks:
            await asyncio.wait(self._data_tasks, timeout=TIMEOUT)
        for late in list(self._data_tasks):
            late.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await late

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Call ``callback`` after every change, with the changes, or with ``None`` when everything was reloaded.

        Many changes come in portions; the registry has them all before the first one comes.

        :returns: a function that ends the subscription.
        """
        self._callbacks.append(callback)

        def unsubscribe() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return unsubscribe

    async def transact(self, fn: Callable[[Transaction], T], *, dry_run: bool = False) -> T:
        """Run ``fn`` on a transaction and commit what it did; returns its result.

        ``fn`` must do nothing but compute: it runs again when another process was faster. What it raises is
        raised here, and nothing is committed.

        :param dry_run: commit nothing, only tell the result.
        :raises StoreUnavailable: the store is away, after at most about 5 s. Whether a commit that was under way
            has happened is then unknown.
        :raises StoreRefused: the store will not take it.
        """
        return cast("T", await self._enqueue(fn, dry_run, steps=False))

    async def transact_steps(self, fn: Callable[[Transaction], Steps[T]], *, dry_run: bool = False) -> T:
        """``transact`` for what may take long: others are answered between the steps.

        Readers see the model as it was until all is committed.
        """
        return cast("T", await self._enqueue(fn, dry_run, steps=True))

    async def _enqueue(self, fn: Callable[[Transaction], Any], dry_run: bool, *, steps: bool) -> Any:
        if not self._loaded.is_set():
            try:
                await asyncio.wait_for(self._loaded.wait(), TIMEOUT)
            except TimeoutError as error:
                raise StoreUnavailable("the model could not be loaded: the store is away") from error
        if not self._tasks:
            raise StoreUnavailable("the repository is not running")
        job = _Job(fn, steps, dry_run, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._wake.set()
        return await job.done

    async def drop_data(self, points: Iterable[PointId], devices: Iterable[str] = ()) -> None:
        """Remove recent data of points, and what is kept per device, that a late write brought back.

        :raises StoreError: when the store is away or refuses.
        """
        async with self._data_lock:
            await point_data.drop_points(self.store, points)
            await point_data.drop_devices(self.store, devices)

    # Committing

    async def _commit_jobs(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._jobs:
                group = self._next_group()
                try:
                    async with self._lock:
                        await self._commit_group(group)
                except StoreUnavailable as error:
                    self._connected.clear()
                    _refuse(group, error)
                    self._refuse_all(error)  # those behind waited as long
                except StoreError as error:
                    _refuse(group, error)
                except Exception as error:  # a bug, or junk in the store: its callers see it, the others go on
                    log.exception("a commit of the model failed")
                    _refuse(group, error)
                except BaseException:
                    _refuse(group, StoreUnavailable("the commit was interrupted"))
                    raise

    def _next_group(self) -> deque[_Job]:
        group: deque[_Job] = deque()
        while self._jobs and len(group) < GROUP_JOBS:
            job = self._jobs.popleft()
            if not job.done.cancelled():
                group.append(job)
        return group

    async def _commit_group(self, group: deque[_Job]) -> None:
        """Run, commit and answer; a job leaves the group when its outcome is settled."""
        for _ in range(ATTEMPTS):
            while group:
                overlay = Overlay(self.registry, self.schemas)
                commit = Commit(overlay)
                with collector_paused():
                    async with self._turn.kept():
                        ran = await self._run(deque(group), overlay, commit)
                        committed = await self._send(commit, ran)
                    if committed:
                        for _ in ran:
                            group.popleft()
                        self._answer(ran)
                    await self._let_go(ran, overlay)
                if not committed:
                    break
            else:
                return
            await self._refresh()
        raise StoreUnavailable("the model is being changed by others all the time; try again")

    async def _run(self, pending: deque[_Job], overlay: Overlay, commit: Commit) -> list[_Ran]:
        """Compute transactions one on top of the other. Nothing else changes the registry: the lock is held."""
        ran: list[_Ran] = []
        changed = 0
        pace = Pace()
        while pending and changed < GROUP_CHANGES:
            job = pending.popleft()
            transaction = Transaction(self.registry, self.schemas, overlay)
            one = _Ran(job, None, None, [], [])
            try:
                outcome = job.fn(transaction)
                one.value = await pace.run(outcome) if job.steps else outcome
            except Exception as error:  # noqa: BLE001 - handed to the caller, whatever it is
                one.error = error
            if one.error is not None or job.dry_run:
                await pace.run(transaction.rollback_steps())
            else:
                one.changes = list(await pace.run(transaction.changes_steps()))
                one.data = list(transaction.data)
                changed += len(one.changes)
                await pace.run(commit.add(one.changes))
                if one.changes:
                    await pace.run(commit.record(transaction.entries))
            ran.append(one)
            await pace.rest()
        return ran

    async def _send(self, commit: Commit, ran: list[_Ran]) -> bool:
        """``False`` when another process was faster, so that all was computed on an old model."""
        if not any(one.changes for one in ran):
            current = await self._reader.version() == self.registry.version
            if current:
                await self._turn.give_up()
            return current
        version = await send_commit(self.store, commit, self.registry.version, self._turn)
        if version is None:
            return False
        changes = [change for one in ran for change in one.changes]
        await take_over(self.registry, changes, version)
        self._connected.set()
        await self._tell_steps(changes)
        await Pace().run(let_go(changes))
        return True

    async def _let_go(self, ran: list[_Ran], overlay: Overlay) -> None:
        """Free the memory of large changes in steps; what is small is left to Python."""
        pace = Pace()
        await pace.run(overlay.rollback_steps(0))
        for one in ran:
            await pace.run(let_go(one.changes))

    def _answer(self, ran: list[_Ran]) -> None:
        for one in ran:
            done = one.job.done
            if one.data:
                task = asyncio.create_task(self._settle_data(one), name="model data")
                self._data_tasks.add(task)
                task.add_done_callback(self._data_tasks.discard)
            elif not done.done():
                if one.error is not None:
                    done.set_exception(one.error)
                else:
                    done.set_result(one.value)

    async def _settle_data(self, one: _Ran) -> None:
        """Remove or move recent data, then answer, so that whoever asked finds it done."""
        try:
            with collector_paused() if len(one.data) > AT_ONCE else contextlib.nullcontext():
                async with self._data_lock:
                    await point_data.carry_out(self.store, one.data)
                await Pace().run(let_go(one.data))
        except PyDataCollError as error:
            log.warning("recent data of deleted or renamed points was left behind: %s", error)
        except Exception:  # junk under the names of data; the model is changed and the caller is to know it
            log.exception("recent data of deleted or renamed points was left behind")
        finally:
            if not one.job.done.done():
                one.job.done.set_result(one.value)

    def _refuse_all(self, error: StoreError) -> None:
        _refuse(self._jobs, error)
        self._jobs.clear()

    async def _tell_steps(self, changes: Sequence[Change]) -> None:
        for start in range(0, len(changes), AT_ONCE):
            self._tell(changes[start : start + AT_ONCE])
            await asyncio.sleep(0)

    def _tell(self, changes: Sequence[Change] | None) -> None:
        for callback in list(self._callbacks):
            try:
                callback(changes)
            except Exception:
                log.exception("a subscriber of the model failed")

    # Following

    async def _refresh(self) -> None:
        """Bring the registry to the present version; the lock is held."""
        if not self._loaded.is_set() or not await self._catch_up():
            await self.store.settle()  # the data may be another, as after a flush or from a backup
            loaded = await self._reader.load()
            old = list(self.registry.term_items.values())
            self.registry.adopt(loaded)
            self._loaded.set()
            self._tell(None)
            await Pace().run(let_go(old))
        self._connected.set()

    async def _catch_up(self) -> bool:
        with collector_paused():
            changes = await self._reader.catch_up(self.registry)
            if changes is None:
                return False
            await self._tell_steps(changes)
            await Pace().run(let_go(changes))
            return True

    async def _follow_log(self) -> None:
        pause = BACKOFF[0]
        while True:
            client = self.store.dedicated()
            try:
                async with self._lock:
                    await self._refresh()
                pause = BACKOFF[0]
                while True:
                    await self._wait_for_news(client)
            except StoreError as error:
                if self._connected.is_set() or not self._loaded.is_set():
                    log.warning("the model cannot be followed now: %s", error)
                self._connected.clear()
            except Exception:  # whatever it is, changes of others must go on being seen
                log.exception("following the model failed")
                self._connected.clear()
            finally:
                await self.store.release(client)
            await asyncio.sleep(pause)
            pause = min(pause * 2, BACKOFF[1])

    async def _wait_for_news(self, client: Any) -> None:
        known = self.registry.version
        with store_errors():
            async with asyncio.timeout(BLOCK / 1000 + TIMEOUT):
                news = await client.xread({keys.MODEL_LOG: f"{known}-0"}, block=BLOCK, count=1)
                stored = 0 if news else int(await client.get(keys.VERSION) or 0)
        self._connected.set()
        if not news and stored == known:
            return
        async with self._lock:
            if self.registry.version == known:  # else it is our own commit, or what it found
                await self._refresh()
        await asyncio.sleep(NEWS_PAUSE)


def _refuse(jobs: Iterable[_Job], error: Exception) -> None:
    for job in jobs:
        if not job.done.done():
            job.done.set_exception(error)
