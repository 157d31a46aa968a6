"""The page "Archive to MySQL" works as it is written, on a MariaDB and on a PostgreSQL of Debian."""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from pathlib import Path

import msgspec

from pydatacoll.archive.archive import Archive
from pydatacoll.archive.config import ArchiveConfig
from pydatacoll.archive.sql_template import NAMES, statement_problem
from test.integration.archive_rig import batch, running, samples

PAGE = (Path(__file__).parents[2] / "docs/howto/archive.rst").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^\.\. code-block:: {language}\n\n((?:(?:   .*)?\n)+)", PAGE, re.M)
    return [textwrap.dedent(text).strip() for text in found]


async def test_archive_to_mysql_as_written(maria, tmp_path):
    make, query, _, _ = blocks("sql")
    maria.execute("DROP DATABASE IF EXISTS pydatacoll; DROP USER IF EXISTS saver@localhost")
    maria.execute(make)
    in_a_file, in_mysql, _ = map(tomllib.loads, blocks("toml"))
    assert in_a_file == {"plugins": ["db_saver"]}
    config = msgspec.convert(in_mysql["plugin"]["db_saver"], ArchiveConfig)
    url = f"{config.url}?unix_socket={maria.socket}"  # this server has a socket of its own
    async with running(url, tmp_path, retention=config.retention) as plugin:
        await plugin.tick(0, plugin.context.wall())
        await plugin.handle(batch(samples([230.5, 231.5], device="feeder1", field="feeder1.relay:ua")))
    answer = maria.execute(f"USE pydatacoll; SET time_zone = '+00:00'; {query}")
    assert answer.splitlines() == ["2026-11-21 01:30:01.0000\t231.5\t0", "2026-11-21 01:30:00.0000\t230.5\t0"]

    point = json.loads(blocks("json")[0])
    archive = Archive(ArchiveConfig(url=url), tmp_path)
    try:
        for field, names in NAMES.items():
            assert statement_problem(archive.kind, field, point[field]) is None, names
    finally:
        await archive.close()


async def test_archive_to_postgresql_as_written(postgresql, tmp_path):
    _, _, make, query = blocks("sql")
    postgresql.execute("DROP DATABASE IF EXISTS pydatacoll WITH (FORCE);\nDROP ROLE IF EXISTS saver;")
    postgresql.execute(make.replace(";", ";\n"))
    config = msgspec.convert(tomllib.loads(blocks("toml")[2])["plugin"]["db_saver"], ArchiveConfig)
    url = config.url.replace("@localhost/", "@/") + f"?host={postgresql.folder}"  # it listens on a socket alone
    assert url != config.url
    async with running(url, tmp_path, retention=config.retention) as plugin:
        await plugin.tick(0, plugin.context.wall())
        await plugin.handle(batch(samples([230.5, 231.5], device="feeder1", field="feeder1.relay:ua")))
    answer = postgresql.execute(f"SET timezone = 'UTC'; {query}", "pydatacoll")
    assert answer.splitlines() == ["2026-11-21 01:30:01+00\t231.5\t0", "2026-11-21 01:30:00+00\t230.5\t0"]
