"""Large changes of the model, written in parts: one change all the same, whoever dies, watches or competes."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from typing import Any

import pytest

from pydatacoll.errors import StoreRefused, StoreUnavailable
from pydatacoll.model.registry import Registry
from pydatacoll.model.steps import Steps
from pydatacoll.model.transaction import Transaction
from pydatacoll.store import keys, model_ops, staging, turn
from pydatacoll.store.client import Arg, Store
from pydatacoll.store.model_reader import ModelReader
from pydatacoll.store.repository import Repository
from pydatacoll.testing.model import device, item, term, term_item
from test.integration.model_rig import (
    ITEMS,
    SCHEMAS,
    TERMS,
    assert_stored,
    create,
    many,
    running,
    until,
    write_in_parts,
)


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    write_in_parts(monkeypatch)


def codes(registry: Registry) -> set[str | None]:
    """The first digit of all addresses: one as long as no change is seen in part."""
    return {point.protocol_code[0] for point in registry.term_items.values() if point.protocol_code is not None}


async def loaded(store: Store) -> Registry:
    return await ModelReader(store, SCHEMAS).load()


async def staged(store: Store) -> list[str]:
    return [name async for name in store.redis.scan_iter() if name.startswith(("STAGED:", keys.MODEL_PENDING))]


async def test_nobody_sees_a_part_of_a_change(store: Store) -> None:
    async with running(store) as one, running(store) as two:
        await one.transact_steps(lambda tx: many(tx, 100))
        await until(two, lambda registry: registry.version == one.registry.version)
        done = asyncio.Event()

        async def watch(repository: Repository) -> None:
            while not done.is_set():
                assert len(codes(repository.registry)) == 1
                assert len(repository.registry.term_items) == TERMS * ITEMS
                await asyncio.sleep(0)

        async def load() -> int:
            seen = set()
            while not done.is_set():
                registry = await loaded(store)
                assert len(registry.term_items) == TERMS * ITEMS
                assert len(codes(registry)) == 1
                seen |= codes(registry)
            return len(seen)

        watching = [asyncio.create_task(work) for work in (watch(one), watch(two), load(), load())]
        for n in range(2, 10):
            await one.transact_steps(lambda tx, n=n: many(tx, n * 100))  # type: ignore[misc]
        await until(two, lambda registry: registry.version == one.registry.version)
        done.set()
        await asyncio.gather(*watching)
        assert two.registry.term_items == one.registry.term_items
        await assert_stored(store, two.registry)


class Cut(Store):
    """Loses the connection at a call of a function: before it arrives, or before its answer does."""

    def __init__(self, url: str, at: int, *, arrives: bool) -> None:
        super().__init__(url)
        self.at = at
        self.arrives = arrives
        self.calls: list[str] = []

    async def fcall(self, name: str, names: Sequence[str], args: Sequence[Arg]) -> Any:
        if name in {"model_stage", "model_begin", "model_apply"}:
            self.calls.append(name)
            if len(self.calls) > self.at:
                if self.arrives and len(self.calls) == self.at + 1:
                    await super().fcall(name, names, args)
                raise StoreUnavailable("cut")
        return await super().fcall(name, names, args)


async def calls_of_a_change(store: Store) -> list[str]:
    spy = Cut(store.url, 10**6, arrives=True)
    async with running(spy) as repository:
        spy.calls.clear()
        await repository.transact_steps(lambda tx: many(tx, 200))
    await spy.close()
    return spy.calls


@pytest.mark.parametrize("arrives", [False, True])
async def test_a_connection_lost_at_any_call(store: Store, arrives: bool) -> None:
    async with running(store) as repository:
        await repository.transact_steps(lambda tx: many(tx, 100))
    calls = await calls_of_a_change(store)
    begin = calls.index("model_begin")
    assert len(calls) > begin + 5
    assert begin > 5
    for at in range(len(calls)):
        async with running(store) as repository:
            await repository.transact_steps(lambda tx: many(tx, 100))
        before = await loaded(store)
        cut = Cut(store.url, 10**6, arrives=arrives)
        async with running(cut) as repository:
            cut.calls.clear()
            cut.at = at
            with pytest.raises(StoreUnavailable):
                await repository.transact_steps(lambda tx: many(tx, 200))
        await cut.close()
        happened = at > begin or (at == begin and arrives)
        after = await loaded(store)
        assert codes(after) == {"2" if happened else "1"}
        assert (after.version == before.version) is not happened
        await assert_stored(store, after)
        assert not await store.redis.exists(keys.MODEL_PENDING)
        for name in await staged(store):
            assert await store.redis.ttl(name) > 0


SCRIPT = """
import asyncio, sys
from pydatacoll.store import model_ops, staging
from pydatacoll.store.client import Store
from test.integration.model_rig import running
from test.integration.test_large_commits import many
model_ops.LARGE, model_ops.PART = 0, 30

class Halting(Store):
    async def fcall(self, name, names, args):
        if name == sys.argv[2]:
            if name == "model_apply" and not hasattr(self, "once"):
                self.once = await super().fcall(name, names, args)
            print("here", flush=True)
            await asyncio.Event().wait()
        return await super().fcall(name, names, args)

async def main():
    store = Halting(sys.argv[1])
    async with running(store) as repository:
        await repository.transact_steps(lambda tx: many(tx, 200))

asyncio.run(main())
"""


@pytest.mark.parametrize(("function", "happened"), [("model_begin", False), ("model_apply", True)])
async def test_a_killed_writer(store: Store, function: str, happened: bool) -> None:
    async with running(store) as other:
        await other.transact_steps(lambda tx: many(tx, 100))
        before = other.registry.version
        command = [sys.executable, "-c", SCRIPT, store.url, function]
        writer = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        assert writer.stdout is not None
        assert await writer.stdout.readline() == b"here\n"
        writer.send_signal(signal.SIGKILL)
        await writer.wait()
        if happened:
            await until(other, lambda registry: registry.version != before)
        await other.transact(create("device", device("next")))  # whoever comes next finishes it first
        assert codes(other.registry) == {"2" if happened else "1"}
        assert "next" in other.registry.devices
        await assert_stored(store, other.registry)


async def test_writers_compete(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_ops, "LARGE", 20)
    monkeypatch.setattr(turn, "RENEWAL", 0.001)
    async with running(store) as one, running(store) as two:
        done = asyncio.Event()

        async def small() -> int:
            n = 0
            while not done.is_set():
                await two.transact(create("item", item(f"small{n}")))
                n += 1
            return n

        writing = asyncio.create_task(small())
        for n in range(1, 9):
            await one.transact_steps(lambda tx, n=n: many(tx, n * 100))  # type: ignore[misc]
        done.set()
        count = await writing
        assert count
        await until(one, lambda registry: f"small{count - 1}" in registry.items)
        await until(two, lambda registry: codes(registry) == {"8"})
        await assert_stored(store, one.registry)
        assert not await store.redis.exists(keys.MODEL_TURN)


async def test_a_writer_keeps_its_turn_while_it_computes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "HELD", 60_000)
    made = turn.Turn(store)
    await store.redis.set(keys.MODEL_TURN, made.writer, px=1000)
    made.held = True
    async with made.kept(), asyncio.timeout(10):
        while await store.redis.pttl(keys.MODEL_TURN) < 30_000:
            pass
    await store.redis.set(keys.MODEL_TURN, "another", px=1000)
    async with made.kept():
        await store.fcall("model_hold", [keys.MODEL_TURN], [made.writer, 60_000])
    assert await store.redis.pttl(keys.MODEL_TURN) <= 1000  # it is another's now


async def test_a_reader_that_comes_too_late_reads_everything(store: Store) -> None:
    async with running(store) as one, running(store) as two:
        await one.transact_steps(lambda tx: many(tx, 100))
        await until(two, lambda registry: registry.version == one.registry.version)
        await two.stop()
        await one.transact_steps(lambda tx: many(tx, 200))
        for name in await staged(store):
            assert name.endswith(":NAMES")
            assert 0 < await store.redis.pttl(name) <= staging.NAMES_LIFE
            await store.redis.delete(name)
        reloads: list[object] = []
        two.subscribe(reloads.append)
        await two.start()
        assert reloads == [None]
        assert two.registry.term_items == one.registry.term_items


async def test_parts_that_expired_too_early_are_prepared_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter(range(2))

    class Forgetful(Store):
        async def fcall(self, name: str, names: Sequence[str], args: Sequence[Arg]) -> Any:
            if name == "model_begin" and next(losses, None) is not None:
                await store.redis.delete(names[5])
            return await super().fcall(name, names, args)

    forgetful = Forgetful(store.url)
    async with running(forgetful) as repository:
        await repository.transact_steps(lambda tx: many(tx, 100))
        await assert_stored(store, repository.registry)
    assert [name for name in await staged(store) if not name.endswith(":NAMES")] == []
    await forgetful.close()


async def test_memory_that_runs_short(store: Store) -> None:
    class Full(Store):
        when = ""

        async def fcall(self, name: str, names: Sequence[str], args: Sequence[Arg]) -> Any:
            try:
                return await super().fcall(name, names, args)
            finally:
                if name == self.when:
                    await store.redis.config_set("maxmemory", 1)

    full = Full(store.url)
    async with running(full) as repository:
        await repository.transact_steps(lambda tx: many(tx, 100))
        for name in await staged(store):
            await store.redis.delete(name)
        full.when = "model_stage"  # refused as a whole while it is prepared ...
        with pytest.raises(StoreRefused):
            await repository.transact_steps(lambda tx: many(tx, 200))
        full.when = ""
        await store.redis.config_set("maxmemory", 0)
        assert await staged(store) == []
        assert codes(await loaded(store)) == {"1"}
        full.when = "model_begin"  # ... and carried out as a whole when it has happened
        await repository.transact_steps(lambda tx: many(tx, 300))
        full.when = ""
        await store.redis.config_set("maxmemory", 0)
        assert codes(repository.registry) == {"3"}
        await assert_stored(store, repository.registry)
    await full.close()


async def test_the_audit_trail_comes_with_the_change(store: Store) -> None:
    def audited(transaction: Transaction) -> Steps[None]:
        yield from many(transaction, 200)
        for n in range(20):
            transaction.audit({"action": "import", "part": n})

    async with running(store) as repository:
        await repository.transact_steps(audited)
        assert await store.redis.xlen(keys.AUDIT) == 20
        await store.redis.delete(keys.AUDIT)
        await store.redis.set(keys.AUDIT, "no trail")
        with pytest.raises(StoreRefused):
            await repository.transact_steps(lambda tx: many(tx, 300))
        assert codes(await loaded(store)) == {"2"}
        await assert_stored(store, await loaded(store))


async def test_a_trail_that_is_spoilt_in_the_middle_keeps_nobody_from_finishing(store: Store) -> None:
    class Spoiling(Store):
        async def fcall(self, name: str, names: Sequence[str], args: Sequence[Arg]) -> Any:
            reply = await super().fcall(name, names, args)
            if name == "model_begin":
                await store.redis.set(keys.AUDIT, "no trail")
            return reply

    def audited(transaction: Transaction) -> Steps[None]:
        yield from many(transaction, 200)
        transaction.audit({"action": "import"})

    spoiling = Spoiling(store.url)
    async with running(spoiling) as repository:
        await repository.transact_steps(audited)
        assert await store.redis.xlen(keys.AUDIT) == 1
        await assert_stored(store, repository.registry)
    await spoiling.close()


async def test_on_every_engine(engine_store: Store) -> None:
    async with running(engine_store) as one, running(engine_store) as two:
        await one.transact_steps(lambda tx: many(tx, 100))
        await two.transact_steps(lambda tx: many(tx, 200))
        await one.transact_steps(lambda tx: tx.merge_steps("device", "many", {"id": "renamed"}))
        await two.transact_steps(lambda tx: tx.batch_delete_steps("item", ["i0", "i1"]))
        await until(one, lambda registry: registry.version == two.registry.version)
        assert one.registry.term_items == two.registry.term_items
        await assert_stored(engine_store, one.registry)


async def test_events_come_once_and_when_everything_is_written(store: Store) -> None:
    listener = store.redis.pubsub()
    await listener.subscribe("CHANNEL:TERM_ITEM_ADD", "CHANNEL:DEVICE_ADD")  # type: ignore[no-untyped-call]
    seen = []
    async with running(store) as repository:
        await repository.transact_steps(lambda tx: many(tx, 100))
        async with asyncio.timeout(10):
            while len(seen) < TERMS * ITEMS + 1:
                message = await listener.get_message(ignore_subscribe_messages=True, timeout=5)
                if message is not None:
                    seen.append(message["data"])
        assert all(f'"version":{repository.registry.version}' in text for text in seen)
        assert len(set(seen)) == len(seen)
        assert await listener.get_message(ignore_subscribe_messages=True, timeout=0) is None
    await listener.aclose()  # type: ignore[no-untyped-call]


async def test_the_limits_of_scripts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """More members of a set, and longer texts, than one command may have; with the sizes of real operation."""
    monkeypatch.undo()
    names = [f"i{n}" for n in range(9000)]
    text = "x" * 8000
    async with running(store) as repository:

        def fill(tx: Transaction) -> Steps[None]:
            tx.create("device", device("d"))
            tx.create("term", term("t", "d"))
            yield from tx.batch_upsert_steps("item", [item(name) for name in names])
            points = [term_item("t", name, protocol_code=name, db_save_sql=text) for name in names[:200]]
            points += [term_item("t", name, protocol_code=name) for name in names[200:]]
            yield from tx.batch_upsert_steps("term_item", points)

        await repository.transact_steps(fill)
        await repository.transact_steps(lambda tx: tx.merge_steps("term", "t", {"id": "u"}))
        assert (await loaded(store)).term_items == repository.registry.term_items
        await repository.transact_steps(lambda tx: tx.batch_delete_steps("item", names))
        await assert_stored(store, repository.registry)
        assert not repository.registry.term_items
