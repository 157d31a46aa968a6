"""What an operator sees of a running system."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import socket
from pathlib import Path

from test.system.rig import eventually

ROOT = Path(__file__).parents[2]


def documented():
    """The names on the page about metrics."""
    spec = importlib.util.spec_from_file_location("docs_generated_for_system", ROOT / "docs/generated.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return set(re.findall(r"``(pydatacoll_\w+)``", module.PARTS["metrics"]()))


async def test_every_metric_that_is_exposed_is_documented(rig, plc):
    api = await rig.api("--managers", "1")
    await api.client.ready()
    await api.client.add(port=plc.port)
    await api.client.shows(0)
    assert (await api.client.call()).status == 200

    text = ""

    async def complete():
        nonlocal text
        text = await api.client.get("/metrics")
        return all(name in text for name in expected) and re.search(ingested, text)

    ingested = r'pydatacoll_ingest_samples_total\{manager=".+"\} [1-9]'
    expected = (
        'pydatacoll_device_points{device="d"} 1.0',
        'pydatacoll_commands_total{kind="call",status="200"} 1.0',
        'pydatacoll_http_requests_total{method="POST",route="/api/v1/devices",status="2xx"} 1.0',
        'pydatacoll_devices{state="connected"} 1.0',
        "pydatacoll_managers 1.0",
        "pydatacoll_partitions_unowned 0.0",
    )
    await eventually(complete, lambda: f"all is reported: {text}")
    families = set(re.findall(r"^# TYPE (pydatacoll_\w+) ", text, re.M))
    assert families <= documented()


async def test_the_diagnosis_names_what_is_wrong_and_what_to_do(rig, plc):
    api = await rig.api()
    await api.client.ready()
    sound = {check["check"]: check for check in (await api.client.get("/api/v2/diagnosis"))["checks"]}
    assert {check["status"] for name, check in sound.items() if name != "disk"} == {"ok"}
    port = plc.port
    await plc.stop()
    await api.client.add(port=port)

    async def away():
        checks = (await api.client.get("/api/v2/diagnosis"))["checks"]
        return next((check for check in checks if check["check"] == "devices" and "d: " in check["detail"]), None)

    found = await eventually(away, "the device is named")
    assert found["status"] == "warning"
    assert "probe" in found["remedy"]


async def test_the_diagnosis_answers_without_the_store(rig):
    store = rig.redis()
    await store.start()
    api = await rig.api("--redis", store.url)
    await api.client.ready()
    store.kill()

    async def failed():
        checks = (await api.client.get("/api/v2/diagnosis"))["checks"]
        return next((check for check in checks if check["check"] == "store" and check["status"] == "failed"), None)

    assert "redis.url" in (await eventually(failed, "the store is away"))["remedy"]


async def test_a_service_manager_is_told(rig, tmp_path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.setblocking(False)
        loop = asyncio.get_running_loop()
        heard = []

        def listen():
            heard.extend(manager.recv(1000).decode().splitlines())

        loop.add_reader(manager, listen)
        rig_environment = rig.environment

        def environment(**settings):
            return rig_environment(**settings) | {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "100000"}

        rig.environment = environment
        try:
            api = await rig.api("--managers", "1")
            await api.client.ready()
            await eventually(lambda: heard.count("WATCHDOG=1") > 3, "signs of life")
            assert f"MAINPID={api.pid}" in heard
            assert heard.count("READY=1") == 1  # the manager process does not answer for it
            assert f"STATUS=running on {api.client.url}" in heard
            assert "STOPPING=1" not in heard
            await api.stop()
            await eventually(lambda: "STOPPING=1" in heard, "the stop is told")
        finally:
            loop.remove_reader(manager)


async def test_a_token_that_has_expired_is_warned_of_at_the_start(rig):
    file = rig.folder / "plant.toml"
    file.write_text(
        f'[[auth.tokens]]\nname = "old"\nhash = "{"0" * 64}"\nscope = "read"\nexpires = 2020-01-01T00:00:00Z\n'
    )
    api = await rig.api("--config", str(file))
    await api.logged("the token 'old' expired 2020-01-01 00:00; make a new one with: pydatacoll token new")
