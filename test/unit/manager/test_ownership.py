"""Partitions are shared evenly and never run twice."""

import socket
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.manager.identity import place
from pydatacoll.manager.ownership import Ownership, share


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=20, unique=True), st.integers(1, 64))
def test_every_partition_has_exactly_one_manager(managers, partitions):
    shares = [share(managers, manager, partitions) for manager in managers]
    assert sorted(p for one in shares for p in one) == list(range(partitions))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_manager_that_is_not_alive_has_nothing():
    assert share(["a", "b"], "c", 16) == set()


class Table:
    """Leases in memory, with managers that a test declares alive."""

    def __init__(self) -> None:
        self.owners: dict[int, str] = {}
        self.alive: list[str] = []

    def of(self, manager_id: str) -> "Fake":
        return Fake(self, manager_id)


class Fake:
    def __init__(self, table: Table, manager_id: str) -> None:
        self.table, self.id = table, manager_id

    async def heartbeat(self):
        return sorted(self.table.alive)

    async def bury(self, manager_id):
        self.table.alive.remove(manager_id)
        self.table.owners = {p: owner for p, owner in self.table.owners.items() if owner != manager_id}

    async def goodbye(self):
        self.table.alive.remove(self.id)

    async def take(self, partition):
        return self.table.owners.setdefault(partition, self.id) == self.id

    renew = take

    async def give_back(self, partition):
        if self.table.owners.get(partition) == self.id:
            del self.table.owners[partition]


@pytest.fixture
def table():
    return Table()


def manager(table, name, running):
    async def gain(partitions):
        assert not partitions & set().union(*running.values())
        running[name] |= partitions

    async def loss(partitions):
        running[name] -= partitions

    running[name] = set()
    return Ownership(table.of(name), name, partitions=16, seconds=6.0, on_gain=gain, on_loss=loss)


async def test_a_second_manager_takes_half_only_when_it_was_given_back(table):
    running: dict[str, set[int]] = {}
    first, second = manager(table, "a", running), manager(table, "b", running)
    table.alive = ["a"]
    assert await first.tick()
    assert running["a"] == set(range(16))
    table.alive = ["a", "b"]
    assert not await second.tick()
    assert running["b"] == set()
    await first.tick()
    assert await second.tick()
    assert (len(running["a"]), len(running["b"])) == (8, 8)


async def test_the_survivor_takes_over_when_leases_have_ended(table):
    running: dict[str, set[int]] = {}
    first, second = manager(table, "a", running), manager(table, "b", running)
    table.alive = ["a", "b"]
    await first.tick()
    await second.tick()
    table.alive = ["b"]
    assert not await second.tick()
    running["a"] = set()
    table.owners = {p: o for p, o in table.owners.items() if o == "b"}
    assert await second.tick()
    assert running["b"] == set(range(16))


async def test_a_lease_that_another_manager_has_is_lost(table):
    running: dict[str, set[int]] = {}
    first = manager(table, "a", running)
    table.alive = ["a"]
    await first.tick()
    table.owners[3] = "b"
    assert not await first.tick()
    assert running["a"] == set(range(16)) - {3}


async def test_release_gives_everything_back(table):
    running: dict[str, set[int]] = {}
    first = manager(table, "a", running)
    table.alive = ["a"]
    await first.tick()
    await first.release()
    assert (table.owners, table.alive) == ({}, [])


async def test_who_was_killed_on_this_machine_is_not_waited_for(table):
    running: dict[str, set[int]] = {}
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    killed = f"{socket.gethostname()}-{place()}-{process.pid}-abcdef"
    second = manager(table, "b", running)
    table.alive = [killed, "b"]
    table.owners = dict.fromkeys(range(16), killed)
    assert await second.tick()
    assert running["b"] == set(range(16))
    assert table.alive == ["b"]
