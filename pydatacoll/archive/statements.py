"""Users' own statements at the database: checked without being executed, and executed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from pydatacoll.archive.database import Database
from pydatacoll.archive.errors import StatementError
from pydatacoll.archive.pg_types import fitted
from pydatacoll.archive.sql_template import Parameter, Style, Template
from pydatacoll.archive.sql_tokens import Kind

_STYLES: Final[dict[Kind, Style]] = {"sqlite": "qmark", "mysql": "format", "postgresql": "numeric"}
"""How the driver of a database takes parameters."""


class Job(NamedTuple):
    """A statement to be executed.

    :ivar owner: whose it is: text of a point.
    """

    owner: str
    template: Template
    values: Mapping[str, Parameter]


class Failed(NamedTuple):
    """A statement that the database refused, with its message."""

    job: Job
    message: str


def database_time(database: Database, seconds: float) -> Parameter:
    """Epoch seconds as the database takes a date with time: UTC."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment if database.kind == "postgresql" else moment.strftime("%Y-%m-%d %H:%M:%S.%f")


async def check(database: Database, template: Template) -> None:
    """Let the database prepare a statement; it is not executed.

    :raises StatementError: with the database's own message.
    :raises ArchiveUnavailable: when the database cannot be used now.
    """
    async with database.transaction() as connection:
        if database.kind == "sqlite":
            nothing = (None,) * len(template.bound)
            await connection.exec_driver_sql(f"EXPLAIN {template.sql('qmark')}", nothing)
        elif database.kind == "mysql":
            await connection.exec_driver_sql("SET @pydatacoll_statement = %s", (template.sql("qmark"),))
            await connection.exec_driver_sql("PREPARE pydatacoll_check FROM @pydatacoll_statement")
            await connection.exec_driver_sql("DEALLOCATE PREPARE pydatacoll_check")
        else:
            await _parameter_types(connection, template)


async def _parameter_types(connection: AsyncConnection, template: Template) -> list[str]:
    """Let PostgreSQL prepare a statement; gives the types that it expects of the parameters, in order."""
    await connection.exec_driver_sql(f"PREPARE pydatacoll_check AS {template.sql('numeric')}")
    found = await connection.exec_driver_sql(
        "SELECT format_type(type, NULL) FROM pg_prepared_statements p, "
        "unnest(p.parameter_types) WITH ORDINALITY AS t (type, place) "
        "WHERE p.name = 'pydatacoll_check' ORDER BY place"
    )
    types = [name for (name,) in found]
    await connection.exec_driver_sql("DEALLOCATE pydatacoll_check")
    return types


async def execute(database: Database, jobs: Sequence[Job]) -> list[Failed]:
    """Execute statements in order, in one transaction; gives those that the database refused.

    Neighbours with the same template go together. When one of them is refused, all are executed again one by one,
    so that only what cannot be done is not done.

    :raises ArchiveUnavailable: when the database cannot be used now. Then none was executed, unless it went away
        while they were executed one by one.
    """
    try:
        async with database.transaction() as connection:
            for template, some in _grouped(jobs):
                await _execute(database, connection, template, some)
    except StatementError:
        database.parameter_types.clear()  # a table may have been changed
        return await _one_by_one(database, jobs)
    return []


async def _one_by_one(database: Database, jobs: Sequence[Job]) -> list[Failed]:
    failed: list[Failed] = []
    for job in jobs:
        try:
            async with database.transaction() as connection:
                await _execute(database, connection, job.template, [job])
        except StatementError as error:
            failed.append(Failed(job, str(error)))
    return failed


async def _execute(
    database: Database, connection: AsyncConnection, template: Template, jobs: Sequence[Job]
) -> None:
    """Execute a statement once for each job."""
    sql = template.sql(_STYLES[database.kind])
    rows = [template.parameters(job.values) for job in jobs]
    if database.kind == "postgresql":
        types = database.parameter_types.get(template)
        if types is None:
            types = database.parameter_types[template] = await _parameter_types(connection, template)
        rows = [tuple(map(fitted, row, types)) for row in rows]
        sql = f"/* {', '.join(types)} */ {sql}"  # the driver, too, remembers the types of a statement by its text
    await connection.exec_driver_sql(sql, rows if len(rows) > 1 else rows[0])


def _grouped(jobs: Sequence[Job]) -> list[tuple[Template, list[Job]]]:
    groups: list[tuple[Template, list[Job]]] = []
    for job in jobs:
        if groups and groups[-1][0] is job.template:
            groups[-1][1].append(job)
        else:
            groups.append((job.template, [job]))
    return groups


def compact(error: Any, longest: int = 300) -> str:
    """A message in one line, not too long."""
    text = " ".join(str(error).split())
    return text if len(text) <= longest else text[: longest - 3] + "..."
