"""Call and ctrl over the store: executed once, in time, or not at all; failures told apart."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from pydatacoll.errors import DeviceOffline, NoManager, StoreUnavailable
from pydatacoll.model import PointId, Sample
from pydatacoll.store import keys
from pydatacoll.store.client import Store
from pydatacoll.store.command_messages import CommandReply
from pydatacoll.store.command_server import CommandServer
from pydatacoll.store.commands import CommandClient, CommandRequest
from pydatacoll.store.idempotency import Claim, Idempotency
from pydatacoll.store.queries import QueryReply
from test.integration.proxy import Proxy

DEVICE = "pump"
POINT = PointId(DEVICE, "t", "speed")


class Plant:
    """A handler that remembers what was written, and answers when it may."""

    def __init__(self) -> None:
        self.written: list[object] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    async def handle(self, kind, device_id, parts, left):
        self.entered.set()
        await self.gate.wait()
        self.written += [part.value for part in parts]
        return [CommandReply(200, Sample(5.0, part.value, 0)) for part in parts]


@pytest.fixture
async def system(store):
    """Starts clients and managers' servers; the lease is taken by hand."""
    tasks = []
    await store.redis.set(keys.lease(keys.partition_of(DEVICE)), "m")

    class System:
        plant = Plant()

        def task(self, coroutine):
            tasks.append(asyncio.get_running_loop().create_task(coroutine))

        async def server(self, plant=None, *, owns=True):
            made = CommandServer(store, lambda device: owns, (plant or self.plant).handle)
            self.task(made.run())
            await made.listening.wait()
            return made

        def client(self, *, timeout=5.0, behind=None):
            made = CommandClient(behind or store, timeout=timeout)
            self.task(made.run())
            return made

    made = System()
    made.store = store
    yield made
    made.plant.gate.set()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def write(value=7, **options):
    return CommandRequest(POINT, value, **options)


async def test_a_control_is_executed_and_answered(system):
    await system.server()
    (reply,) = await system.client().execute("ctrl", [write(7)])
    assert (reply.status, reply.sample) == (200, Sample(5.0, 7, 0))
    assert reply.command_id
    assert system.plant.written == [7]


async def test_commands_for_one_device_go_out_together(system):
    await system.server()
    client = system.client()
    replies = await client.execute("ctrl", [write(1), write(2), write(3)])
    assert [reply.sample.value for reply in replies] == [1, 2, 3]
    assert len({reply.command_id for reply in replies}) == 3
    assert system.plant.written == [1, 2, 3]


async def test_without_a_lease_the_answer_is_503_at_once(system):
    await system.server()
    await system.store.redis.delete(keys.lease(keys.partition_of(DEVICE)))
    (reply,) = await system.client().execute("ctrl", [write()])
    assert (reply.status, reply.title) == (503, "No device manager")
    assert system.plant.written == []


async def test_with_a_lease_but_nobody_listening_the_answer_is_503_at_once(system):
    (reply,) = await system.client(timeout=3600.0).execute("call", [write(None)])
    assert (reply.status, reply.title) == (503, "No device manager")


async def test_two_managers_that_both_think_they_own_the_device_execute_once(system):
    await system.server()
    await system.server()
    for value in range(20):
        (reply,) = await system.client().execute("ctrl", [write(value)])
        assert reply.status == 200
    assert system.plant.written == list(range(20))


async def test_a_manager_that_does_not_own_the_device_leaves_the_command_alone(system):
    await system.server(owns=False)
    (reply,) = await system.client(timeout=0.05).execute("ctrl", [write()])
    assert reply.status == 503
    assert "not executed" in reply.detail
    await system.server()  # the late owner: the command was withdrawn
    assert system.plant.written == []


async def test_an_expired_command_is_not_executed(system):
    """The message waits somewhere until the command is old; then nobody may run it."""
    await system.server()
    message = {"id": "late", "device_id": DEVICE, "parts": [{"term_id": "t", "item_id": "speed", "value": 1}]}
    await system.store.redis.publish(keys.CTRL, json.dumps(message))  # COMMAND:late does not exist (any more)
    (reply,) = await system.client().execute("ctrl", [write(2)])
    assert reply.status == 200
    assert system.plant.written == [2]


async def test_the_same_message_twice_is_executed_once(system):
    await system.server()
    message = {"id": "twice", "device_id": DEVICE, "parts": [{"term_id": "t", "item_id": "speed", "value": 1}]}
    await system.store.redis.set(keys.command("twice"), "open", ex=10)
    await system.store.redis.publish(keys.CTRL, json.dumps(message))
    await system.store.redis.publish(keys.CTRL, json.dumps(message))
    await system.client().execute("ctrl", [write(2)])
    assert system.plant.written == [1, 2]


async def test_a_slow_device_gives_504_and_an_unknown_outcome(system):
    await system.server()
    system.plant.gate.clear()
    (reply,) = await system.client(timeout=2.5).execute("ctrl", [write()])
    assert reply.status == 504
    assert "unknown" in reply.detail


async def test_a_lost_reply_is_found_in_the_store(system):
    """The manager answered, but the publication was lost on the way."""
    await system.server()
    client = CommandClient(system.store, timeout=2.5)
    client._listening.set()  # it believes that it listens, and hears nothing
    (reply,) = await client.execute("ctrl", [write(9)])
    assert (reply.status, reply.sample.value) == (200, 9)


async def test_a_repeated_idempotency_key_returns_the_first_answer(system):
    await system.server()
    client = system.client()
    (first,) = await client.execute("ctrl", [write(1, idempotency_key="k")])
    (second,) = await client.execute("ctrl", [write(1, idempotency_key="k")])
    (elsewhere,) = await system.client().execute("ctrl", [write(1, idempotency_key="k")])
    assert first == second == elsewhere
    assert system.plant.written == [1]


async def test_two_requests_with_one_key_at_the_same_time_execute_once(system):
    await system.server()
    client = system.client()
    pairs = await asyncio.gather(*(client.execute("ctrl", [write(1, idempotency_key="k")]) for _ in range(10)))
    assert {reply.command_id for (reply,) in pairs} == {pairs[0][0].command_id}
    assert system.plant.written == [1]


async def test_commands_with_keys_keep_their_order(system):
    await system.server()
    requests = [write(value, idempotency_key=f"k{value}") for value in range(10)]
    replies = await system.client().execute("ctrl", requests)
    assert [reply.sample.value for reply in replies] == list(range(10))
    assert system.plant.written == list(range(10))


async def test_a_key_cannot_be_used_for_another_command(system):
    await system.server()
    client = system.client()
    await client.execute("ctrl", [write(1, idempotency_key="k")])
    (reply,) = await client.execute("ctrl", [write(2, idempotency_key="k")])
    assert reply.status == 422
    assert system.plant.written == [1]


async def test_a_key_whose_command_never_ran_can_be_used_again(system):
    client = system.client()
    (reply,) = await client.execute("ctrl", [write(1, idempotency_key="k")])
    assert reply.status == 503
    await system.server()
    (reply,) = await client.execute("ctrl", [write(1, idempotency_key="k")])
    assert reply.status == 200


async def test_a_key_whose_client_died_tells_the_result_or_that_it_is_unknown(system):
    await system.server()
    client = system.client()
    system.plant.gate.clear()
    first = asyncio.get_running_loop().create_task(client.execute("ctrl", [write(1, idempotency_key="k")]))
    await system.plant.entered.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    (reply,) = await system.client().execute("ctrl", [write(1, idempotency_key="k")])
    assert reply.status == 409
    system.plant.gate.set()
    while system.plant.written != [1]:
        await asyncio.sleep(0)
    await system.client().execute("ctrl", [write(5)])  # a round trip later the result is stored
    (reply,) = await system.client().execute("ctrl", [write(1, idempotency_key="k")])
    assert (reply.status, reply.sample.value) == (200, 1)
    assert system.plant.written == [1, 5]


async def test_what_ran_is_answered_even_when_its_answer_cannot_be_kept(redis_url, system):
    await system.server()
    async with Proxy(redis_url.removeprefix("unix://")) as proxy:
        store = Store(proxy.url)
        try:
            kept = Idempotency(store, lambda raw: raw, lambda error: error, None)

            async def send(command_id):
                proxy.refuse = True
                proxy.cut()
                return CommandReply(200, Sample(5.0, 7, 0), command_id)

            reply = await kept.run(Claim("eve", "k", "f"), send)
            assert (reply.status, reply.sample.value) == (200, 7)
        finally:
            await store.close()


async def test_a_question_that_must_not_be_repeated_is_asked_once_per_key(system):
    asked = []
    gate = asyncio.Event()

    async def ask():
        asked.append(1)
        await gate.wait()
        return QueryReply("q", 200, {"selection_id": f"s{len(asked)}"})

    def once(client, what=b"7", key="k", user="eve"):
        return asyncio.create_task(client.once(user, key, what, ask))

    one, other = system.client(), system.client()
    first, same = once(one), once(one)
    while not asked:
        await asyncio.sleep(0)
    assert (await once(other)).status == 409, "it is under way elsewhere"
    gate.set()
    assert await first == await same == await once(other) == QueryReply("q", 200, {"selection_id": "s1"})
    assert (await once(other, b"8")).status == 422
    assert (await once(other, user="bob")).body == {"selection_id": "s2"}
    await system.server()
    (reply,) = await one.execute("ctrl", [write(1, idempotency_key="k", user="eve")])
    assert reply.status == 422, "the keys of controls and of selections are the same"
    assert (len(asked), system.plant.written) == (2, [])


@pytest.mark.parametrize(
    ("first", "status"),
    [
        (StoreUnavailable("the intention is not in the audit trail"), 503),
        (QueryReply.failed("q", NoManager("no device manager")), 503),
        (QueryReply.failed("q", DeviceOffline("offline")), 503),
    ],
)
async def test_a_question_that_was_not_asked_may_be_asked_again_with_its_key(system, first, status):
    answers = [first, QueryReply("q", 200, {"selection_id": "s1"})]

    async def ask():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = system.client()
    assert (await client.once("eve", "k", b"7", ask)).status == status
    assert (await client.once("eve", "k", b"7", ask)).status == 200


async def test_the_intention_is_audited_before_the_command_goes_out(system):
    await system.server()
    request = write(7, user="eve", source="10.0.0.1", reason="test")
    (reply,) = await system.client().execute("ctrl", [request])
    entries = [json.loads(fields["entry"]) for _, fields in await system.store.redis.xrange(keys.AUDIT)]
    before, after = entries
    assert (before["object"], before["after"], before["user"], before["reason"]) == (str(POINT), 7, "eve", "test")
    assert "result" not in before
    assert (after["command_id"], after["result"]) == (reply.command_id, "ok")


async def test_another_programs_plain_message_is_executed_and_answered_on_the_result_channel(system):
    await system.server()
    async with system.store.redis.pubsub() as pubsub:
        await pubsub.subscribe(keys.ctrl_result_channel(str(POINT)))
        await pubsub.get_message(timeout=5)
        await system.store.redis.publish(
            keys.CTRL, json.dumps({"device_id": DEVICE, "term_id": "t", "item_id": "speed", "value": "3"})
        )
        answer = json.loads((await pubsub.get_message(timeout=5))["data"])
    assert (answer["status"], answer["value"], answer["quality"]) == (200, "3", "good")


async def test_garbage_on_the_channel_is_ignored(system):
    await system.server()
    for garbage in ("", "x", "[]", '{"id": 1}', '{"device_id": "pump"}'):
        await system.store.redis.publish(keys.CTRL, garbage)
    (reply,) = await system.client().execute("ctrl", [write()])
    assert reply.status == 200


async def test_when_the_store_is_away_the_answer_is_503_and_it_recovers(redis_url, system):
    await system.server()
    async with Proxy(redis_url.removeprefix("unix://")) as proxy:
        behind = Store(proxy.url)
        client = system.client(behind=behind)
        assert (await client.execute("ctrl", [write(1)]))[0].status == 200
        proxy.refuse = True
        proxy.cut()
        (reply,) = await client.execute("ctrl", [write(2)])
        assert reply.status in {503, 504}  # 504 when it may have left before the line was cut
        proxy.refuse = False
        while (await client.execute("ctrl", [write(3)]))[0].status != 200:
            await asyncio.sleep(0)
        await behind.close()
    assert 2 not in system.plant.written


@asynccontextmanager
async def subscribed(store, channel):
    async with store.redis.pubsub() as pubsub:
        await pubsub.subscribe(channel)
        await pubsub.get_message(timeout=5)
        yield pubsub


async def test_results_are_published_for_outside_listeners(system):
    await system.server()
    async with subscribed(system.store, keys.call_result_channel(str(POINT))) as pubsub:
        await system.client().execute("call", [write(4)])
        answer = json.loads((await pubsub.get_message(timeout=5))["data"])
    assert (answer["device_id"], answer["item_id"], answer["value"]) == (DEVICE, "speed", 4)
