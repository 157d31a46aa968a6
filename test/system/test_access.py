"""A server that asks for tokens, over HTTPS, as an administrator sets it up."""

from __future__ import annotations

import hashlib
import ssl

import aiohttp
import pytest
import trustme

from pydatacoll.api_server import check_host
from pydatacoll.errors import ConfigError
from pydatacoll.settings import AuthSettings, ServerSettings, Settings, TokenSettings
from test.system.rig import eventually

SECRETS = {scope: f"pdc_secret-of-{scope}" for scope in ("read", "operate", "admin")}


@pytest.fixture
def secured(tmp_path):
    """A settings file with a certificate and three tokens; gives the client's trust, too."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(issued.cert_chain_pems[0].bytes())
    key.write_bytes(issued.private_key_pem.bytes())
    lines = ["[server]", f'tls_cert = "{cert}"', f'tls_key = "{key}"']
    for scope, secret in SECRETS.items():
        digest = hashlib.sha256(secret.encode()).hexdigest()
        lines += ["[[auth.tokens]]", f'name = "{scope}"', f'hash = "{digest}"', f'scope = "{scope}"']
    file = tmp_path / "pydatacoll.toml"
    file.write_text("\n".join(lines))
    file.chmod(0o600)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    return file, trust


async def test_tokens_and_https(rig, plc, secured):
    file, trust = secured
    api = await rig.api("--config", str(file))
    url = api.client.url
    assert url.startswith("https://127.0.0.1:")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:

        async def ask(method, path, scope=None, body=None):
            headers = {"Authorization": f"Bearer {SECRETS[scope]}"} if scope else {}
            async with session.request(method, url + path, json=body, headers=headers) as answer:
                return answer.status, await answer.json(content_type=None)

        async def ready():
            return (await ask("GET", "/readyz"))[0] == 200

        await eventually(ready, "ready")
        device = {"id": "d", "name": "d", "protocol": "modbus_tcp", "port": plc.port, "poll_interval": 0.02}
        assert (await ask("GET", "/api/v1/devices"))[0] == 401
        assert (await ask("POST", "/api/v1/devices", "operate", device))[0] == 403
        assert (await ask("POST", "/api/v1/devices", "admin", device))[0] == 201
        await ask("POST", "/api/v1/terms", "admin", {"id": "t", "name": "t", "device_id": "d"})
        await ask("POST", "/api/v1/items", "admin", {"id": "i", "name": "i"})
        point = {"item_id": "i", "protocol_code": "hr:0", "writable": True}
        assert (await ask("POST", "/api/v1/terms/t/items", "admin", point))[0] == 201
        write = {"device_id": "d", "term_id": "t", "item_id": "i", "value": 7}
        assert (await ask("POST", "/api/v1/device_ctrl", "read", write))[0] == 403

        async def written():
            return (await ask("POST", "/api/v1/device_ctrl", "operate", write))[0] == 200

        await eventually(written, "the device is connected")

        async def shown():
            status, values = await ask("GET", "/api/v2/values", "read")
            return status == 200 and values and values[0]["value"] == 7

        await eventually(shown, "the value written is read")
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            async with aiohttp.ClientSession() as untrusting, untrusting.get(f"{url}/healthz"):
                pass
    for secret in SECRETS.values():
        assert secret not in api.log
        assert hashlib.sha256(secret.encode()).hexdigest() not in api.log


async def test_the_effective_settings_hide_what_is_secret(rig, secured):
    file, _ = secured
    shown = rig.launch("api_server", "--config", str(file), "--print-config")
    assert await shown.ended() == 0
    text = shown.output.read_text()
    assert text.count('hash = "***"') == 3
    assert hashlib.sha256(SECRETS["admin"].encode()).hexdigest() not in text


def test_with_a_token_it_may_be_served_beyond_this_machine():
    everywhere = ServerSettings(host="0.0.0.0")
    with pytest.raises(ConfigError, match="pydatacoll token new"):
        check_host(Settings(server=everywhere))
    token = TokenSettings(name="a", hash="0" * 64, scope="read")
    check_host(Settings(server=everywhere, auth=AuthSettings(tokens=[token])))
