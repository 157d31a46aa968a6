"""HTTPS: a certificate that is renewed while the server runs, and what cannot be used."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

import pytest
import trustme

from pydatacoll.api.tls import certificate
from pydatacoll.errors import ConfigError
from pydatacoll.settings import ServerSettings


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def _issue(authority: trustme.CA, folder: Path) -> ServerSettings:
    issued = authority.issue_cert("localhost")
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return ServerSettings(tls_cert=str(cert), tls_key=str(key))


async def _serial(port: int, authority: trustme.CA) -> str:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    found: dict[str, str] = writer.get_extra_info("peercert")
    writer.close()
    await writer.wait_closed()
    return found["serialNumber"]


async def test_a_new_certificate_is_used_for_new_connections(
    authority: trustme.CA, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    used = certificate(_issue(authority, tmp_path))
    assert used is not None

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=used.context)
    port = server.sockets[0].getsockname()[1]
    try:
        first = await _serial(port, authority)
        assert not used.renew(), "nothing changed"
        _issue(authority, tmp_path)
        assert used.renew()
        second = await _serial(port, authority)
        assert second != first
        with caplog.at_level(logging.ERROR):
            (tmp_path / "key.pem").write_bytes(trustme.CA().issue_cert("x").private_key_pem.bytes())
            assert not used.renew(), "a key of another certificate"
        assert "server.tls_cert" in caplog.text
        assert await _serial(port, authority) == second
        _issue(authority, tmp_path)
        assert used.renew(), "mended"
        assert await _serial(port, authority) not in {first, second}
    finally:
        server.close()
        await server.wait_closed()


def test_plain_http_without_a_certificate() -> None:
    assert certificate(ServerSettings()) is None


def test_what_cannot_be_used_names_the_setting(authority: trustme.CA, tmp_path: Path) -> None:
    good = _issue(authority, tmp_path)
    cases = {
        r"server\.tls_key: a key without": ServerSettings(tls_key=good.tls_key),
        r"server\.tls_cert: .*missing.* cannot be read": ServerSettings(tls_cert=str(tmp_path / "missing.pem")),
        r"server\.tls_key: .*nokey.* cannot be read": ServerSettings(
            tls_cert=good.tls_cert, tls_key=str(tmp_path / "nokey.pem")
        ),
        r"server\.tls_cert: .* cannot be used": ServerSettings(tls_cert=good.tls_key, tls_key=good.tls_key),
    }
    for message, server in cases.items():
        with pytest.raises(ConfigError, match=message):
            certificate(server)


def test_an_encrypted_key_does_not_ask_on_the_terminal(authority: trustme.CA, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    server = _issue(authority, tmp_path)
    key = serialization.load_pem_private_key(Path(server.tls_key).read_bytes(), None)
    packed = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(b"passphrase"),
    )
    Path(server.tls_key).write_bytes(packed)
    with pytest.raises(ConfigError, match=r"server\.tls_key: the private key is encrypted"):
        certificate(server)


def test_old_versions_of_tls_are_refused(authority: trustme.CA, tmp_path: Path) -> None:
    used = certificate(_issue(authority, tmp_path))
    assert used is not None
    assert used.context.minimum_version >= ssl.TLSVersion.TLSv1_2
