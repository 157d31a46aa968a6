"""TLS: who is trusted, what is said when it fails, and which files may be read."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from pydatacoll.errors import DeviceOffline
from pydatacoll.protocols.iec104.tls import find, load
from test.unit.protocols.iec104.link_bench import i
from test.unit.protocols.iec104.station import Owner, Peer, Station, device

NOW = datetime.now(UTC)


class Site:
    """Authorities of a plant: its stations, and its collector."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.own = self.authority.issue_cert("collector.example", not_after=NOW + timedelta(days=10, hours=1))
        (folder / "ca.pem").write_bytes(self.authority.cert_pem.bytes())
        self.own.private_key_and_cert_chain_pem.write_to_path(str(folder / "own.pem"))
        (folder / "own.crt").write_bytes(b"".join(part.bytes() for part in self.own.cert_chain_pems))
        (folder / "own.key").write_bytes(self.own.private_key_pem.bytes())

    def server(self, *names: str, asks: bool = False, **options: Any) -> ssl.SSLContext:
        """What a station needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(*(names or ("127.0.0.1",)), **options).configure_cert(context)
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            self.authority.configure_trust(context)
        return context


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def owner(site: Site) -> Owner:
    made = Owner()
    made.context.certificates = site.folder
    return made


async def test_both_ends_show_certificates(site: Site, owner: Owner) -> None:
    server = site.server(asks=True, not_after=NOW + timedelta(days=3, hours=1))
    async with Station(tls=server) as station:
        wire, peer = await owner.opened(
            station, tls=True, tls_ca="ca.pem", tls_certificate="own.crt", tls_key="own.key"
        )
        shown = peer.writer.get_extra_info("peercert")
        assert shown["subjectAltName"] == (("DNS", "collector.example"),)
        peer.write(*(i(number, asdu=bytes(249)) for number in range(500)))
        await owner.received(500)
        status = wire.status()["tls"]
        assert (status["own_certificate_days"], status["device_certificate_days"]) == (10, 3)
        assert status["version"] in {"TLSv1.2", "TLSv1.3"}
        await wire.close()


async def test_the_name_may_be_another_than_the_address(site: Site, owner: Owner) -> None:
    async with Station(tls=site.server("rtu2.grid.example")) as station:
        with pytest.raises(DeviceOffline, match=r"TLS: the certificate of the device is for another name"):
            await owner.opening(device(station.port, tls=True, tls_ca="ca.pem"))
        wire, _ = await owner.opened(station, tls=True, tls_ca="ca.pem", tls_name="rtu2.grid.example")
        assert wire.status()["tls"]["own_certificate_days"] is None
        await wire.close()


async def refused(owner: Owner, context: ssl.SSLContext | None, **options: Any) -> str:
    async with Station(tls=context) as station:
        with pytest.raises(DeviceOffline) as raised:
            await owner.opening(device(station.port, tls=True, **{"tls_ca": "ca.pem", **options}))
        return str(raised.value)


async def test_an_expired_certificate(site: Site, owner: Owner) -> None:
    context = site.server(not_before=NOW - timedelta(days=9), not_after=NOW - timedelta(days=1))
    assert (await refused(owner, context)).endswith("TLS: the certificate of the device has expired")


async def test_a_certificate_of_tomorrow(site: Site, owner: Owner) -> None:
    context = site.server(not_before=NOW + timedelta(days=1), not_after=NOW + timedelta(days=2))
    assert (await refused(owner, context)).endswith("is not valid yet; look at the clocks of both")


async def test_an_unknown_authority(tmp_path: Path, owner: Owner) -> None:
    words = await refused(owner, Site(tmp_path).server())
    assert "is not from an authority that is trusted here (tls_ca)" in words
    assert "is not from an authority" in await refused(owner, Site(tmp_path).server(), tls_ca="")


async def test_a_station_that_does_not_accept_our_certificate(
    tmp_path_factory: pytest.TempPathFactory, site: Site, owner: Owner
) -> None:
    other = Site(tmp_path_factory.mktemp("other"))
    (site.folder / "other.pem").write_bytes((other.folder / "own.pem").read_bytes())
    for options in ({}, {"tls_certificate": "other.pem"}):
        for highest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):  # the latter tells after the handshake
            context = site.server(asks=True)
            context.maximum_version = highest
            with socket.create_server(("127.0.0.1", 0)) as server:
                serving = asyncio.create_task(asyncio.to_thread(serve_once, server, context))
                port = server.getsockname()[1]
                with pytest.raises(DeviceOffline) as raised:
                    await owner.opening(device(port, tls=True, tls_ca="ca.pem", **options))
                await serving
            if options or highest == ssl.TLSVersion.TLSv1_3:
                assert "TLS: the device does not accept our certificate (" in str(raised.value)
            else:
                assert "TLS: " in str(raised.value)  # the alert says no more than that it failed


def serve_once(server: socket.socket, context: ssl.SSLContext) -> None:
    """A station that tells why it refuses, which asyncio's servers do not."""
    accepted, _ = server.accept()
    with context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False) as secured:
        with suppress(ssl.SSLError):
            secured.do_handshake()
        with suppress(OSError):  # the other end may be gone already
            secured.shutdown(socket.SHUT_WR)
            while socket.socket.recv(secured, 100):  # a close with octets unread would overtake the alert
                pass


async def test_a_station_that_breaks_off_the_handshake(site: Site, owner: Owner) -> None:
    context = site.server(asks=True)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    words = await refused(owner, context)
    assert words.endswith("closed the connection during the handshake; it may not accept our certificate")


async def test_a_station_with_old_tls_only(owner: Owner) -> None:
    async with Station() as station:
        opening = owner.opening(device(station.port, tls=True, tls_ca="ca.pem"))
        peer = await station.accepted()
        peer.write(bytes.fromhex("15 03 01 00 02 02 46"))  # fatal alert 70: protocol version (RFC 5246, 7.2)
        with pytest.raises(DeviceOffline, match=r"no version of TLS that is allowed; 1.2 is the lowest"):
            await opening


async def test_a_station_without_tls(site: Site, owner: Owner) -> None:
    async with Station() as station:
        opening = owner.opening(device(station.port, tls=True, tls_ca="ca.pem"))
        peer: Peer = await station.accepted()
        peer.write(bytes.fromhex("680443000000"))
        with pytest.raises(DeviceOffline, match=r"TLS: the device does not speak TLS on this port"):
            await opening
        opening = owner.opening(device(station.port, tls=True, tls_ca="ca.pem", t0=1.0))
        with pytest.raises(DeviceOffline, match=r"no connection to .*: no answer within 1 s"):
            await opening
        opening = owner.opening(device(station.port, tls=True, tls_ca="ca.pem"))
        await station.accepted()
        peer = await station.accepted()
        peer.reset()
        with pytest.raises(DeviceOffline, match=r"the device closed the connection"):
            await opening


def revoke(site: Site, context: ssl.SSLContext) -> bytes:
    """A revocation list of the authority, in which is the certificate of a station."""
    key = serialization.load_pem_private_key(site.authority.private_key_pem.bytes(), None)
    authority = x509.load_pem_x509_certificate(site.authority.cert_pem.bytes())
    issued = site.authority.issue_cert("127.0.0.1")
    issued.configure_cert(context)
    serial = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).serial_number
    gone = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW).build()
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.subject)
    builder = builder.last_update(NOW - timedelta(hours=1)).next_update(NOW + timedelta(days=1))
    made = builder.add_revoked_certificate(gone).sign(key, hashes.SHA256())  # type: ignore[arg-type]
    return made.public_bytes(serialization.Encoding.PEM)


async def test_a_revoked_certificate(site: Site, owner: Owner) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (site.folder / "crl.pem").write_bytes(site.authority.cert_pem.bytes() + revoke(site, context))
    assert (await refused(owner, context, tls_ca="crl.pem")).endswith("certificate of the device was revoked")
    async with Station(tls=site.server()) as station:
        wire, _ = await owner.opened(station, tls=True, tls_ca="crl.pem")
        await wire.close()


# ---- files


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../secret.pem", "a/../../secret.pem", "..", "a\0b", "..\\secret"]
)
def test_names_that_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "certificates"
    (folder / "a").mkdir(parents=True)
    (tmp_path / "secret.pem").write_text("secret")
    with pytest.raises(DeviceOffline, match=r"^tls_ca: .* must be a name within the folder of certificates$"):
        find("tls_ca", name, folder)


def test_links_that_lead_out_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    (tmp_path / "secret.pem").write_text("secret")
    (folder / "link.pem").symlink_to(tmp_path / "secret.pem")
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    for name in ("link.pem", "up/secret.pem", "loop", "pipe", "none.pem", ".", ""):
        with pytest.raises(DeviceOffline, match=r"^tls_key: there is no file "):
            find("tls_key", name, folder)


def test_links_inside_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    (folder / "south").mkdir(parents=True)
    (folder / "south" / "ca.pem").write_text("here")
    (folder / "current.pem").symlink_to("south/ca.pem")
    (tmp_path / "other").symlink_to(folder)
    for name in ("current.pem", "south/ca.pem"):
        assert find("tls_ca", name, tmp_path / "other").read_text() == "here"


def test_without_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DeviceOffline, match=r"^tls_ca: there is no folder of certificates here"):
        find("tls_ca", "ca.pem", None)
    with pytest.raises(DeviceOffline, match=r"the folder of certificates \(manager.certificates\) does not exist"):
        find("tls_ca", "ca.pem", tmp_path / "none")


def encrypted(site: Site) -> bytes:
    key = serialization.load_pem_private_key(site.own.private_key_pem.bytes(), None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )


@pytest.mark.parametrize(
    ("options", "content", "words"),
    [
        ({"tls_ca": "bad.pem"}, lambda _: b"SECRET", "tls_ca: bad.pem holds no certificates in PEM"),
        ({"tls_certificate": "bad.pem"}, lambda _: b"SECRET", "tls_certificate: bad.pem cannot be used"),
        (
            {"tls_certificate": "own.crt", "tls_key": "bad.pem"},
            lambda _: trustme.CA().private_key_pem.bytes(),
            "tls_certificate: own.crt and bad.pem cannot be used: key values mismatch",
        ),
        (
            {"tls_certificate": "own.crt", "tls_key": "bad.pem"},
            encrypted,
            "tls_key: the key is encrypted; store it without a passphrase",
        ),
        ({"tls_certificate": "own.crt"}, encrypted, "tls_certificate: own.crt cannot be used"),
    ],
)
async def test_files_that_cannot_be_used(
    site: Site, options: dict[str, str], content: Callable[[Site], bytes], words: str
) -> None:
    (site.folder / "bad.pem").write_bytes(content(site))
    with pytest.raises(DeviceOffline) as raised:
        await load(device(1, tls=True, **{"tls_ca": "ca.pem", **options}), site.folder)
    assert str(raised.value).startswith(words)
    assert "SECRET" not in str(raised.value)
    assert str(site.folder) not in str(raised.value)


async def test_a_renewed_certificate_is_used_for_the_next_connection(
    tmp_path: Path, site: Site, owner: Owner
) -> None:
    owner.context.certificates = tmp_path
    (tmp_path / "ca.pem").write_bytes((site.folder / "ca.pem").read_bytes())
    options = {"tls": True, "tls_ca": "ca.pem", "tls_certificate": "own.pem"}
    async with Station(tls=site.server(asks=True)) as station:
        for days in (20, 40):
            issued = site.authority.issue_cert("collector", not_after=NOW + timedelta(days=days, hours=1))
            issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "own.pem"))
            wire, _ = await owner.opened(station, **options)
            assert wire.status()["tls"]["own_certificate_days"] == days
            await wire.close()
