"""A password of the store is shown nowhere, whatever goes wrong; errors name setting, line and remedy."""

from __future__ import annotations

import hashlib
import json

import pytest

from test.system.rig import eventually

PASSWORD = "hunter2-secret"
TOKEN = "pdc_plainly-visible-token"


def settings(folder, url):
    file = folder / "plant.toml"
    file.write_text(
        f'[redis]\nurl = "{url}"\n\n[log]\nlevel = "debug"\n\n'
        f'[[auth.tokens]]\nname = "me"\nhash = "{hashlib.sha256(TOKEN.encode()).hexdigest()}"\nscope = "admin"\n'
    )
    return file


async def answers(api):
    """What every kind of answer says, with a token."""
    said = ""
    for path in ("/readyz", "/metrics", "/api/v2/diagnosis", "/api/v1/devices", "/api/v2/values", "/api/v2/audit"):
        answer = await api.client.request("GET", path, Authorization=f"Bearer {TOKEN}")
        said += f"{answer.status} {answer.body}\n"
    for body in ({"id": "x", "name": "x"}, {"id": "x"}):
        answer = await api.client.request("POST", "/api/v1/items", body, Authorization=f"Bearer {TOKEN}")
        said += f"{answer.status} {answer.body}\n"
    wrong = await api.client.request("GET", "/api/v1/devices", Authorization="Bearer pdc_some-other-token")
    return said + f"{wrong.status} {wrong.body}\n"


def shown(process):
    return process.log + process.output.read_text()


@pytest.mark.parametrize(
    "url",
    [
        f"redis://user:{PASSWORD}@127.0.0.1:1/0",  # nobody listens
        f"redis://:{PASSWORD}@no-such-host.invalid:6379/0",
    ],
)
async def test_a_password_is_not_shown_while_the_store_is_away(rig, url):
    rig.noisy = 10_000  # everything that is tried again and again is told at this level, as long as the test takes
    api = await rig.api("--config", str(settings(rig.folder, url)))
    await api.logged("trying again")
    said = await answers(api)
    assert "503" in said
    manager = rig.launch("device_manager", "--config", str(settings(rig.folder, url)))
    await manager.logged("trying again")
    for text in (said, shown(api), shown(manager)):
        assert PASSWORD not in text
        assert TOKEN not in text
        assert "pdc_some-other-token" not in text


async def test_a_password_that_the_store_refuses_is_not_shown(rig):
    store = rig.redis()
    await store.start()
    with store.client() as client:
        client.config_set("requirepass", "the-right-one")
    rig.noisy = 10_000
    url = store.url.replace("unix://", f"unix://:{PASSWORD}@")
    api = await rig.api("--config", str(settings(rig.folder, url)))
    await eventually(lambda: "the store" in api.log, "it says so")
    said = await answers(api)
    for text in (said, shown(api)):
        assert PASSWORD not in text
        assert "the-right-one" not in text


async def test_what_is_printed_of_the_settings_has_no_secret(rig):
    file = settings(rig.folder, f"redis://user:{PASSWORD}@10.0.0.1:6379/0")
    process = rig.launch("api_server", "--config", str(file), "--print-config")
    assert await process.ended() == 0
    assert PASSWORD not in shown(process)
    assert hashlib.sha256(TOKEN.encode()).hexdigest() not in shown(process)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (f'[redis]\nurl = "redis://user:{PASSWORD}@h:70000/0"\n', 2, "redis.url: the port must be a number"),
        (f'[redis]\nurl = "http://user:{PASSWORD}@h/"\n', 2, "redis.url: expected embedded, or redis://"),
        (
            f'[redis]\nurl = "redis://user:{PASSWORD}@h/0?nonsense=1"\n',
            2,
            "redis.url: nonsense after the ? is not known",
        ),
        ('[redis]\nengine = "/no/such/server"\n', 2, "redis.engine: /no/such/server is not an executable"),
        ('\n\nplugins = ["nonesuch"]\n', 3, "plugins: there is no plugin 'nonesuch'"),
        ('[server]\nhost = "192.0.2.200"\n', 2, "server.host: 192.0.2.200 is not a loopback address"),
        ('[server]\ntls_cert = "/no/such.pem"\n', 2, "server.tls_cert: /no/such.pem cannot be read"),
        ('[server]\nhost = "127.0.0.1"\ntls_key = "k"\n', 3, "server.tls_key: a key without server.tls_cert"),
    ],
)
async def test_a_mistake_is_named_with_line_and_remedy_and_without_the_secret(rig, text, line, says):
    file = rig.folder / "plant.toml"
    file.write_text(text)
    process = rig.launch("api_server", "--config", str(file), "--port", "0", "--data-dir", str(rig.data_dir))
    process.expected_code = 1
    assert await process.ended(within=20) == 1
    last = process.log.splitlines()[-1]
    assert last.startswith(f"pydatacoll: {file}:{line}: {says}"), process.log
    assert PASSWORD not in shown(process)


async def test_a_plugins_own_mistake_is_named_with_its_line(rig):
    folder = rig.folder / "plugins"
    folder.mkdir(mode=0o700)
    (folder / "picky.py").write_text(
        "from msgspec import Struct\n"
        "from pydatacoll.sdk import Plugin\n"
        "class Config(Struct, frozen=True, kw_only=True):\n    password: str\n    size: int = 1\n"
        "class Picky(Plugin):\n    name = 'picky'\n    config_type = Config\n"
        "    async def handle(self, batch):\n        pass\n"
    )
    file = rig.folder / "plant.toml"
    file.write_text(
        f'plugins = ["picky"]\nplugin_dirs = ["{folder}"]\n[plugin.picky]\npassword = "{PASSWORD}"\nsize = "big"\n'
    )
    process = rig.launch("api_server", "--config", str(file), "--port", "0", "--data-dir", str(rig.data_dir))
    process.expected_code = 1
    assert await process.ended(within=20) == 1
    assert f"{file}:5: plugin.picky.size: expected an integer" in process.log
    assert PASSWORD not in shown(process)


async def test_a_problem_of_a_plugin_folder_is_told_once(rig):
    folder = rig.folder / "plugins"
    folder.mkdir(mode=0o700)
    (folder / "broken.py").write_text("import no_such_module\n")
    (folder / "ok.py").write_text(
        "from pydatacoll.sdk import Plugin\nclass Ok(Plugin):\n    name = 'ok'\n"
        "    async def handle(self, batch):\n        pass\n"
    )
    api = await rig.api("--plugins", "ok", plugin_dirs=str(folder))
    lines = [json.loads(line)["message"] for line in api.log.splitlines()]
    assert len([line for line in lines if "broken.py" in line]) == 1
