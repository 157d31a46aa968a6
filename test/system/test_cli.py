"""The command line as people use it: against a real server, with a simulated device behind it."""

from __future__ import annotations

import asyncio
import csv
import json
import os

import trustme

from test.system.rig import eventually


async def test_reading_and_writing(rig, plc, cli):
    api = await rig.api()
    url = api.client.url
    plc.holding()[0] = 41
    await api.client.add(port=plc.port, poll_interval=0.05, points={"i": "hr:0", "bad": "ir:7"}, frame_log=50)
    await api.client.shows(41)

    (device,) = (await cli("ls", url=url)).rows
    assert (device["id"], device["link"]["state"]) == ("d", "connected")
    points = (await cli("ls", "points", "d", url=url)).rows
    assert [(row["item_id"], row["protocol_code"], row["writable"]) for row in points] == [
        ("bad", "ir:7", False),
        ("i", "hr:0", True),
    ]
    (value,) = (await cli("get", "d:dt:i", url=url)).rows
    assert (value["value"], value["quality"]) == (41, "good")
    plc.holding()[0] = 42
    (value,) = (await cli("call", "*:*:i", url=url)).rows
    assert value["value"] == 42

    written = await cli("ctrl", "d:dt:i", "43", "--yes", "--verify", "--reason", "a test", url=url)
    assert (written.code, written.rows[0]["value"], plc.holding()[0]) == (0, 43, 43)
    assert (await cli("ctrl", "d:dt:i", "44", url=url)).code == 2
    assert (await cli("ctrl", "d:dt:i", "99999", "--yes", url=url)).code == 1
    assert (await cli("ctrl", "d:dt:bad", "1", "--yes", url=url)).code == 1
    assert plc.holding()[0] == 43
    entries = (await cli("audit", "--action", "ctrl", "--device", "d", url=url)).rows
    assert {entry["reason"] for entry in entries if entry["result"] == "ok"} == {"a test"}

    frames = (await cli("frames", "d", "-n", "4", url=url)).rows
    assert {frame["direction"] for frame in frames} == {"sent", "received"}
    probe = await cli("probe", "d:dt:i", url=url)
    assert (probe.code, probe.rows[0]["sample"]["value"]) == (0, 43)
    probe = await cli("probe", "modbus_tcp", f"127.0.0.1:{plc.port}", "--code", "hr:0", url=url)
    assert probe.rows[0]["raw"].startswith("002b")
    doctor = await cli("doctor", url=url)
    assert {row["check"] for row in doctor.rows} >= {
        "server",
        "token",
        "our clock",
        "store",
        "managers",
        "devices",
    }
    assert not [row for row in doctor.rows if row["status"] == "failed"]
    assert doctor.code == 0


async def test_values_are_followed_as_they_change(rig, plc, cli):
    api = await rig.api()
    plc.holding()[0] = 1
    await api.client.add(port=plc.port, points={"i": "hr:0", "fixed": "hr:9"})
    await api.client.shows(1)
    following = asyncio.create_task(
        cli("tail", "d:*:i", "--interval", "0.05", "-n", "20", url=api.client.url), name="tail"
    )
    number = 1
    while not following.done():
        number += 1
        plc.holding()[0] = number % 60_000
        await asyncio.sleep(0.01)
    rows = following.result().rows
    values = [row["value"] for row in rows]
    assert len(values) == 20
    assert values == sorted(values)
    assert values[-1] > values[0]
    assert {row["item_id"] for row in rows} == {"i"}


async def test_a_device_that_does_not_answer_has_an_exit_code_of_its_own(rig, plc, cli):
    api = await rig.api()
    await api.client.add(port=plc.port)
    await api.client.shows(0)
    await plc.stop()
    failed = await cli("call", "d:dt:i", url=api.client.url)
    assert (failed.code, failed.out) == (4, "")
    assert failed.err.startswith("Error: d:dt:i: ")
    probe = await cli("probe", "--device", "d", url=api.client.url)
    assert probe.code == 4

    async def lost() -> bool:
        return (await api.client.get("/api/v1/devices/d"))["status"] == "off"

    await eventually(lost, "the link is lost")
    doctor = await cli("doctor", url=api.client.url)
    assert any(row["check"] == "devices" and row["status"] != "ok" and row["remedy"] for row in doctor.rows)


async def test_the_whole_model_by_file(rig, plc, cli):
    api = await rig.api()
    url = api.client.url
    await api.client.add(port=plc.port, points={"i": "hr:0", "j": "hr:1"})
    for form in ("json", "yaml", "csv"):
        name = f"model.{form}"
        assert (await cli("export", name, url=url)).code == 0
        again = await cli("import", name, "--dry-run", url=url)
        assert (again.code, again.out) == (0, "")
        assert "to add 0, to change 0, to delete 0" in again.err
    assert sorted(os.listdir(rig.folder / "data"))  # nothing of the above stands in the way of the data
    with (rig.folder / "model.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["port"] = "502000"
    with (rig.folder / "bad.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for extra in ([], ["--dry-run"]):
        bad = await cli("import", "bad.csv", *extra, url=url)
        assert (bad.code, bad.out) == (1, "")
        assert "column port" in bad.err

    model = json.loads((rig.folder / "model.json").read_text())
    model["devices"][0]["name"] = "Renamed"
    model["term_items"] = [one for one in model["term_items"] if one["item_id"] != "j"]
    (rig.folder / "new.json").write_text(json.dumps(model))
    assert (await cli("import", "new.json", "--mode", "replace", url=url)).code == 2
    assert len((await cli("ls", "points", url=url)).rows) == 2
    done = await cli("import", "new.json", "--mode", "replace", "--yes", url=url)
    assert {(row["action"], row["kind"]) for row in done.rows} == {("change", "device"), ("delete", "term_item")}
    assert (await cli("show", "device", "d", url=url)).rows[0]["name"] == "Renamed"
    assert [row["item_id"] for row in (await cli("ls", "points", url=url)).rows] == ["i"]


async def test_tokens_from_their_making_to_their_use(rig, cli, tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    (tmp_path / "cert.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    (tmp_path / "key.pem").write_bytes(issued.private_key_pem.bytes())
    settings = [f'[server]\ntls_cert = "{tmp_path}/cert.pem"\ntls_key = "{tmp_path}/key.pem"']
    tokens = {}
    for scope in ("read", "admin"):
        (made,) = (await cli("token", "new", "--scope", scope)).rows
        settings.append(made["settings"])
        tokens[scope] = made["token"]
    file = tmp_path / "pydatacoll.toml"
    file.write_text("\n".join(settings))
    file.chmod(0o600)
    api = await rig.api("--config", str(file))
    url = api.client.url
    trust = {"PYDATACOLL_CA": str(tmp_path / "ca.pem")}

    assert (await cli("ls", url=url)).code == 3
    assert (await cli("ls", url=url, **trust)).code == 1
    read = {**trust, "PYDATACOLL_TOKEN": tokens["read"]}
    assert await cli("ls", url=url, **read) == (0, "", "")
    (tmp_path / "new.json").write_text("{}")
    refused = await cli("import", "new.json", url=url, **read)
    assert refused.code == 1
    assert "needs the scope admin" in refused.err
    (tmp_path / "token").write_text(tokens["admin"] + "\n")
    doctor = await cli("--token-file", str(tmp_path / "token"), "doctor", url=url, **trust)
    (token,) = (row for row in doctor.rows if row["check"] == "token" and "scope" in row["detail"])
    assert "admin has the scope admin" in token["detail"]
    assert tokens["admin"] not in doctor.out + doctor.err


async def test_the_doctor_finds_a_server_that_is_not_running(rig, cli, tmp_path):
    doctor = await cli("doctor", "--data-dir", str(tmp_path / "data"), url="http://127.0.0.1:1")
    assert doctor.code == 1
    assert (doctor.rows[0]["check"], doctor.rows[0]["status"]) == ("server", "failed")
    assert "pydatacoll serve" in doctor.rows[0]["remedy"]
