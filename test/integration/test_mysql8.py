"""MySQL 8 is not among Debian's packages: what it asks of us beside MariaDB is tried with a simulated server."""

from __future__ import annotations

import asyncio
import secrets
import struct
from contextlib import asynccontextmanager
from itertools import cycle

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from pydatacoll.archive.config import ArchiveConfig
from pydatacoll.archive.database import Database
from pydatacoll.archive.errors import ArchiveUnavailable
from pydatacoll.archive.write import Writer

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CAPABILITIES = 0x0008_A20D  # protocol 4.1, authentication by plugin, no TLS


class Server:
    """Speaks the connection phase of MySQL 8 to an account whose password it has not cached, then refuses.

    :ivar password: what the client has sent, encrypted for the server's key.
    """

    def __init__(self) -> None:
        self.password = b""
        self._salt = bytes(secrets.choice(range(1, 128)) for _ in range(20))

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0

        def send(payload: bytes) -> None:
            writer.write(len(payload).to_bytes(3, "little") + bytes([number]) + payload)

        async def read() -> bytes:
            nonlocal number
            head = await reader.readexactly(4)
            number = head[3] + 1
            return await reader.readexactly(int.from_bytes(head[:3], "little"))

        send(
            b"\x0a8.0.36\0"
            + struct.pack(
                "<I8sxHBHHB10x", 1, self._salt[:8], CAPABILITIES & 0xFFFF, 255, 2, CAPABILITIES >> 16, 21
            )
            + self._salt[8:]
            + b"\0caching_sha2_password\0"
        )
        assert b"caching_sha2_password" in await read()
        send(b"\x01\x04")  # not cached: all of the password is needed
        assert await read() == b"\x02"  # without TLS it is asked for the key
        send(
            b"\x01"
            + KEY.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        mixed = KEY.decrypt(await read(), padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None))
        self.password = bytes(a ^ b for a, b in zip(mixed, cycle(self._salt)))
        send(b"\xff" + struct.pack("<H", 1045) + b"#28000Access denied for user 'saver'")
        writer.close()


@asynccontextmanager
async def running():
    server = Server()
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    async with listening:
        yield server, listening.sockets[0].getsockname()[1]


async def test_the_password_is_sent_as_mysql_8_wants_it(tmp_path):
    async with running() as (server, port):
        url = f"mysql://saver:secret@127.0.0.1:{port}/archive"
        database = Database(ArchiveConfig(url=url), tmp_path)
        with pytest.raises(ArchiveUnavailable, match="Access denied for user 'saver'"):
            await Writer(database).write([(1, 1, 1.0, None, 0, 0)])
        await database.close()
    assert server.password == b"secret\0"


@pytest.mark.parametrize(
    ("version", "is_mariadb", "ending"),
    [
        ((8, 0, 19), False, " AS new ON DUPLICATE KEY UPDATE value = new.value,"),
        ((8, 4, 3), False, " AS new ON DUPLICATE KEY UPDATE value = new.value,"),
        ((8, 0, 18), False, " ON DUPLICATE KEY UPDATE value = VALUES(value),"),
        ((10, 11, 6), True, " ON DUPLICATE KEY UPDATE value = VALUES(value),"),
    ],
)
async def test_the_new_row_is_named_as_each_version_knows_it(tmp_path, version, is_mariadb, ending):
    database = Database(ArchiveConfig(url="mysql://u:p@localhost/db"), tmp_path)
    database.engine.dialect.server_version_info = version
    database.engine.dialect.is_mariadb = is_mariadb
    assert ending in Writer(database)._statement()
    await database.close()
