"""How far a plugin is in one partition, and the one call that moves it: acknowledgement and effects together.

See ``plugins.lua``. Only the runner that has the lease of the partition can commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from pydatacoll.errors import StoreError
from pydatacoll.model import DeviceBatch, PointId
from pydatacoll.model.steps import Steps
from pydatacoll.plugin import Effects
from pydatacoll.store import keys
from pydatacoll.store.client import Arg, Store
from pydatacoll.store.derived import Outgoing, deliver, outgoing
from pydatacoll.store.pace import Pace

DEAD_LETTERS: Final = 10_000
"""Most dead letters kept per plugin and partition, about."""

AT_ONCE: Final = 500
"""Keys of the state before others may get their turn: less than half a millisecond."""

_LOST, _GONE, _TRIMMED = -1, -2, -3  # answers of plugin_commit
_pack = msgspec.msgpack.encode


class LeaseLost(StoreError):
    """The partition belongs to another runner now, or to nobody: what was not committed is not ours any more."""


class GroupGone(StoreError):
    """The store was emptied, or the consumer group deleted: the partition has to be begun anew."""


@dataclass(slots=True)
class DeadLetter:
    """Samples that cannot be handled."""

    entry_id: str
    payload: bytes
    samples: int
    error: str

    @classmethod
    def of(cls, entry_id: str, devices: Sequence[DeviceBatch], error: str) -> DeadLetter:
        """Of samples in the form that the stream has."""
        return cls(entry_id, _pack(devices), sum(map(len, devices)), error)


@dataclass(slots=True)
class Step:
    """What one commit acknowledges; the default acknowledges nothing.

    :ivar entries: ``(id, samples)`` of the entries that are finished with it, in order.
    :ivar part: ``(id, samples)`` of an entry of which so many samples are finished, but not all.
    :ivar done: samples handled.
    :ivar retries: batches tried again since the last commit.
    """

    entries: Sequence[tuple[str, int]] = ()
    part: tuple[str, int] | None = None
    done: int = 0
    retries: int = 0
    effects: Effects | None = None
    dead: DeadLetter | None = None


@dataclass(slots=True)
class _Place:
    """What the hash of a plugin's place holds, beside ``base``."""

    seq: int
    out: int
    done: int
    dead: int
    retries: int
    entry: str = ""
    offset: int = 0

    @classmethod
    def of(cls, fields: dict[str, bytes]) -> _Place:
        numbers = {name: int(fields.get(name, 0)) for name in ("seq", "out", "done", "dead", "retries", "offset")}
        return cls(entry=fields.get("entry", b"").decode(), **numbers)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A commit, ready to be sent as often as it takes."""

    entries: Sequence[tuple[str, int]]
    before: int
    after: _Place
    out: list[Outgoing]
    payload: bytes


@dataclass(slots=True)
class Names:
    """Whose place it is: plugin and runner; ``lease`` in seconds."""

    plugin: str
    runner: str
    lease: float = 6.0
    stream_bytes: int = 33_554_432
    history: Callable[[PointId], int] = field(default=lambda _: 100)


async def enrol(store: Store, plugin: str) -> None:
    """Keep the data stream for a plugin from now on, also before a runner of it has begun: it misses nothing of a
    system that collects as soon as it is started. Nothing is changed for one that is known.

    :raises StoreError: when the store is away; it can be repeated.
    """
    for partition in range(store.partitions):
        names = [
            keys.stream(partition),
            keys.plugin_place(partition, plugin),
            keys.stream_dropped(partition),
            keys.stream_samples(partition),
        ]
        await store.fcall("plugin_enrol", names, [plugin])


class Progress:
    """The place of one plugin in one partition. :meth:`open` comes first, and again after every error.

    :ivar cursor: id of the last entry that is finished.
    """

    def __init__(self, store: Store, names: Names, partition: int) -> None:
        self._store = store
        self._names = names
        self.partition = partition
        plugin = names.plugin
        self._keys = [
            keys.stream(partition),
            keys.plugin_lease(partition, plugin),
            keys.plugin_holder(partition, plugin),
            keys.plugin_place(partition, plugin),
            keys.plugin_state(partition, plugin),
            keys.plugin_outbox(partition, plugin),
            keys.stream_dropped(partition),
        ]
        self._lease = int(names.lease * 1000)
        self._place = _Place(0, 0, 0, 0, 0)
        self._waiting: list[Outgoing] = []
        self._delivered: list[str] = []
        self.cursor = "0-0"

    @property
    def part(self) -> tuple[str, int]:
        """The entry of which a part has been handled, and how many samples that is."""
        return self._place.entry, self._place.offset

    async def open(self, *, from_start: bool = False) -> dict[str, bytes]:
        """Find the place. What a runner before us has committed but not delivered, :meth:`deliver` does.

        :param from_start: whether a new plugin begins with the oldest entry; else with what comes now.
        :returns: the state of the partition.
        :raises LeaseLost: without the lease.
        :raises StoreError: when the store is away.
        """
        arguments: list[Arg] = [
            self._names.plugin,
            self._names.runner,
            self._lease,
            "0" if from_start else "$",
        ]
        reply = await self._store.fcall(
            "plugin_open", [*self._keys, keys.stream_samples(self.partition)], arguments
        )
        if reply[0] < 0:
            raise LeaseLost(self._lost())
        _, cursor, place, state, outbox = reply
        self.cursor = cursor.decode()
        self._place = _Place.of(_map(place))
        rows = sorted(_map(outbox).items(), key=lambda row: int(row[0]))
        self._waiting = [Outgoing.decode(int(number), blob) for number, blob in rows]
        self._delivered = []
        return _map(state)

    async def prepare(self, step: Step) -> Prepared:
        """A commit that comes next; nothing else may be committed before it. Others get their turn meanwhile.

        :raises TypeError: when the effects are not what they should be.
        :raises ValueError: the same.
        """
        place = self._place
        effects = step.effects or Effects()
        pace = Pace()
        out = await pace.run(outgoing(self._store.partitions, effects.samples, self._names.history, place.out))
        state, deleted = await pace.run(_state(effects.state))
        entry, offset = step.part or (("", 0) if step.entries else (place.entry, place.offset))
        dead = 0 if step.dead is None else step.dead.samples
        after = _Place(
            place.seq + 1, place.out + len(out), place.done + step.done, place.dead + dead,
            place.retries + step.retries, entry, offset,
        )  # fmt: skip
        payload = _pack(
            (
                _changes(place, after),
                state,
                deleted,
                [part for one in out for part in (str(one.number), _string(one.encoded()))],
                self._delivered,
                [part for channel, message in effects.publish for part in (channel, _string(message))],
                effects.conditions,
                [] if step.dead is None else _fields(step.dead),
            )
        )
        return Prepared(step.entries, place.seq, after, out, payload)

    async def commit(self, prepared: Prepared) -> None:
        """Acknowledge, with all effects; :meth:`deliver` comes next. It may be repeated after an error of the
        store: what had been done is not done again.

        :raises LeaseLost: when the lease belongs to somebody else; nothing was done.
        :raises GroupGone: when the place is gone.
        :raises StoreError: when the store is away: whether it was done is not known.
        """
        if prepared.after is self._place:
            return
        entries = prepared.entries
        last = entries[-1][0] if entries else self.cursor
        status = _TRIMMED
        while status == _TRIMMED:
            # of the entries dropped behind our back, those that are handled now were not lost
            refund = sum(one[1] for one in entries if not self._unread(one))
            cursor = max(last, self.cursor, key=_number)
            reply = await self._store.fcall(
                "plugin_commit",
                [*self._keys, keys.dead_letter(self.partition, self._names.plugin)],
                [
                    self._names.plugin, self._names.runner, self._lease, keys.tag(self.partition),
                    str(prepared.before), str(prepared.after.seq), self.cursor, cursor,
                    sum(map(self._unread, entries)), refund, DEAD_LETTERS, prepared.payload,
                ],
            )  # fmt: skip
            status = reply[0]
            if status == _TRIMMED:
                self.cursor = reply[1].decode()
        if status == _LOST:
            raise LeaseLost(self._lost())
        if status == _GONE:
            raise GroupGone(f"plugin {self._names.plugin} has no place in partition {self.partition} any more")
        self.cursor = cursor
        self._place = prepared.after
        self._delivered = []
        self._waiting += prepared.out

    def _unread(self, entry: tuple[str, int]) -> bool:
        return _number(entry[0]) > _number(self.cursor)

    async def deliver(self) -> None:
        """Store the derived samples that are committed, in order, each batch once.

        :raises StoreError: when the store is away; the rest is delivered later.
        """
        while self._waiting:
            first = self._waiting[0]
            writer = f"{self._names.plugin}:{keys.tag(self.partition)}"
            await deliver(self._store, first, writer, self._names.stream_bytes)
            self._delivered.append(str(first.number))
            del self._waiting[0]

    @property
    def untidy(self) -> bool:
        """Whether the store still keeps derived samples that have been delivered; the next commit removes them."""
        return bool(self._delivered)

    def _lost(self) -> str:
        return f"partition {self.partition} of plugin {self._names.plugin} belongs to another runner"


def _map(flat: list[bytes]) -> dict[str, bytes]:
    return {key.decode(): value for key, value in zip(flat[::2], flat[1::2], strict=True)}


def _changes(old: _Place, new: _Place) -> list[str]:
    """Flat fields and values of what changes, without the number of the commit."""
    return [
        text
        for name in ("out", "done", "dead", "retries", "entry", "offset")
        if getattr(old, name) != getattr(new, name)
        for text in (name, str(getattr(new, name)))
    ]


def _state(changes: Mapping[str, bytes | None]) -> Steps[tuple[list[str | msgspec.Raw], list[str]]]:
    """What is written, keys and values in turn, and the keys that are deleted; in steps."""
    written: list[str | msgspec.Raw] = []
    deleted: list[str] = []
    for number, (key, value) in enumerate(changes.items()):
        if not number % AT_ONCE:
            yield
        if value is None:
            deleted.append(key)
        else:
            written += (key, _string(value))
    return written, deleted


def _string(data: bytes) -> msgspec.Raw:
    """Bytes as a string of msgpack: Lua's has no other strings, and takes any bytes for one."""
    length = len(data)
    if length < 32:
        head = bytes([0xA0 | length])
    elif length < 256:
        head = b"\xd9" + length.to_bytes(1)
    elif length < 65_536:
        head = b"\xda" + length.to_bytes(2)
    else:
        head = b"\xdb" + length.to_bytes(4)
    return msgspec.Raw(head + data)


def _fields(letter: DeadLetter) -> Iterable[str | msgspec.Raw]:
    payload, count = _string(letter.payload), str(letter.samples)
    return ["b", payload, "n", count, "entry", letter.entry_id, "error", letter.error[:1000]]


def _number(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)
