"""``kill -9`` of everything, networks that are cut, all plugins at work: the results are those of a quiet run."""

from __future__ import annotations

import asyncio
import os
import random
import time

import pytest

from test.system.oracle import Reader
from test.system.plugin_oracle import KINDS, System
from test.system.plugin_plant import PluginPlant
from test.system.plugin_verdict import show

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "2"))
SEED = int(os.environ.get("FAULT_SEED", random.SystemRandom().randrange(1_000_000)))
SETTINGS = {"history__length": 100_000, "manager__lease": 2.0, "plugin__db_saver__timeout": 3.0}


@pytest.mark.timeout(600)
async def test_what_plugins_make_of_the_stream_survives_every_kill(rig, maria):
    print(f"FAULT_SEED={SEED}")
    rng = random.Random(SEED)
    rig.noisy, rig.patience = 5000, 60.0
    async with (
        PluginPlant(devices=6, points=4, interval=0.1) as plant,
        System(rig, plant, maria, rng, **SETTINGS) as system,
        Reader(lambda: system.store.url, plant.sequences) as reader,
    ):
        await reader.recovered(0, dict.fromkeys(plant.sequences, 0), within=30)
        for _ in range(ROUNDS):
            order = rng.sample(KINDS, len(KINDS))
            while order:
                await asyncio.sleep(rng.uniform(0.2, 0.8))  # the random moment
                together = [order.pop() for _ in range(min(len(order), rng.choice((1, 1, 2))))]
                system.injected.update(f"kill {kind}" for kind in together)
                began = time.monotonic()
                for kind in together:
                    await system.kill(kind)
                await system.recover("+".join(together), reader, began)
        for fault in (
            system.devices_away,
            system.cut_devices,
            system.freeze_database,
            system.stop_database,
            system.cut_database,
        ):
            system.injected[fault.__name__] += 1
            await fault(rng.uniform(1, 3))
            await system.recover(fault.__name__, reader, time.monotonic())
        outcome = await system.finish(reader)
    assert show(system.injected, system.recoveries, outcome), outcome
    assert outcome.alarms > 10 * len(plant.servers)
