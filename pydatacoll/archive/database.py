"""One database, by its URL: connections, time limits, and errors in our own words.

What differs between the databases stands here, in :mod:`.schema` and in :mod:`.write`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import math
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from pydatacoll.archive.breaking import Breaker
from pydatacoll.archive.config import ArchiveConfig
from pydatacoll.archive.errors import ArchiveUnavailable, StatementError
from pydatacoll.archive.sql_template import Template
from pydatacoll.archive.sql_tokens import Kind
from pydatacoll.errors import ConfigError

# it would log with a traceback what is raised, and told, anyway: that a connection broke in a transaction
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)

SETTING: Final = "plugin.db_saver.url"
_DRIVERS: Final[dict[str, tuple[str, ...]]] = {
    "sqlite": ("aiosqlite",),
    "mysql": ("aiomysql",),
    "mariadb": ("aiomysql",),
    "postgresql": ("asyncpg",),
}
"""Drivers that can be used, the best first."""
_KINDS: Final[dict[str, Kind]] = {
    "sqlite": "sqlite",
    "mysql": "mysql",
    "mariadb": "mysql",
    "postgresql": "postgresql",
}
_SQL_MODE: Final = "STRICT_TRANS_TABLES,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
"""Without the modes that change what a string is: :mod:`.sql_tokens` reads statements so."""
_POSTGRESQL: Final = {
    "application_name": "pydatacoll",
    "timezone": "UTC",
    "standard_conforming_strings": "on",  # :mod:`.sql_tokens` reads statements so
    "jit": "off",  # compiling would take longer than the short statements do
}
_LONGEST_GROUP: Final = 8_000_000
"""Bytes of a page of samples that MySQL joins into one text, see :mod:`.read`."""
GRACE: Final = 1.0
"""Seconds after a time limit until all that a broken connection has to be told must be over."""
_BUSY: Final = 10.0
"""Seconds that SQLite waits for another process that writes."""
_SERVER_GONE: Final = 2006
_TRANSIENT_MYSQL: Final = frozenset({1021, 1040, 1041, 1114, 1205, 1213, 1290, 1836, 2006, 2013})
"""Errors of MySQL that say nothing about a statement: disk full, too many connections, deadlock, read-only."""
_TRANSIENT_POSTGRESQL: Final = ("08", "25006", "28", "3D", "40", "53", "55P03", "57", "58")
"""SQLSTATEs, or their beginnings, that say nothing about a statement: connection, read-only, password, no such
database, deadlock, disk full or too many connections, a lock, being stopped, the system."""
_TRANSIENT_SQLITE: Final = re.compile(
    r"locked|busy|disk I/O|is full|readonly|unable to open|malformed|not a database", re.IGNORECASE
)


class Database:
    """Connections to one database, opened when they are needed.

    :ivar kind: its family.
    :ivar shown: its URL without the password.
    :ivar parameter_types: of users' statements, as PostgreSQL has told them.
    """

    def __init__(self, config: ArchiveConfig, data_dir: Path) -> None:
        """
        :raises ConfigError: for a URL that cannot be used; says why and what to do.
        """
        url = parse_url(config.url, data_dir)
        self.kind: Kind = _KINDS[url.get_backend_name()]
        self.shown = _shown(url)
        self.parameter_types: WeakKeyDictionary[Template, list[str]] = WeakKeyDictionary()
        self._timeout = config.timeout
        options: dict[str, Any] = {"pool_size": config.connections, "max_overflow": 0, "pool_recycle": 3600}
        if self.kind != "sqlite":
            # no rollback when a connection goes back, as each transaction has ended: a round trip more, for
            # which SQLAlchemy waits without end when the network is cut in this moment
            options |= {"pool_pre_ping": True, "pool_timeout": config.timeout, "pool_reset_on_return": None}
        if self.kind == "mysql":
            options["isolation_level"] = "READ COMMITTED"
            options["connect_args"] = {
                "connect_timeout": min(config.timeout, 10.0),
                # when the network is cut within a transaction, the server has to find out alone: until it does,
                # the rows are locked for who tries again
                "init_command": f"SET SESSION wait_timeout={math.ceil(config.timeout)}, "
                f"sql_mode='{_SQL_MODE}', time_zone='+00:00', "
                f"group_concat_max_len={_LONGEST_GROUP}",
            }
        elif self.kind == "postgresql":
            idle = str(math.ceil(config.timeout * 1000))
            options["connect_args"] = {
                "server_settings": _POSTGRESQL | {"idle_in_transaction_session_timeout": idle}  # the same
            }
        else:
            options["connect_args"] = {"timeout": _BUSY}
        try:
            self.engine: AsyncEngine = create_async_engine(url, **options)
        except (ArgumentError, SQLAlchemyError, TypeError, ImportError) as error:
            raise ConfigError(f"{SETTING}: cannot be used: {error}") from error
        self._breaker = None if self.kind == "sqlite" else Breaker(self.engine)
        if self.kind == "mysql":
            event.listen(self.engine.sync_engine, "connect", _tell_when_closed(self.engine.dialect.loaded_dbapi))
        if self.kind == "sqlite":
            event.listen(self.engine.sync_engine, "connect", _set_up_sqlite)

    @property
    def names_new_row(self) -> bool:
        """Whether the server is MySQL proper, where ``VALUES(column)`` is about to go; known once connected."""
        dialect: Any = self.engine.dialect
        version = getattr(dialect, "server_version_info", None) or (0,)
        return self.kind == "mysql" and not dialect.is_mariadb and version >= (8, 0, 19)

    @asynccontextmanager
    async def transaction(self, *, limit: float | None = None) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction, which is committed at the end.

        :param limit: seconds it may take instead of ``timeout``.
        :raises ArchiveUnavailable: when the database cannot be used now.
        :raises StatementError: when it refuses what it was asked.
        """
        seconds = limit or self._timeout
        if self._breaker is None:
            async with self._limited(seconds), self.engine.begin() as connection:
                yield connection
            return
        async with self._limited(seconds), self.engine.connect() as connection:
            with self._breaker.after(connection, seconds):
                async with connection.begin():
                    yield connection

    @asynccontextmanager
    async def _limited(self, seconds: float) -> AsyncIterator[None]:
        """Raises our own errors, after so many seconds, too."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        # where connections are broken, cancelling is the last resort: a rollback after that would have no limit
        grace = GRACE if self._breaker else 0.0
        try:
            async with asyncio.timeout(seconds + grace):
                yield
        except (TimeoutError, SQLAlchemyError) as error:
            lost = isinstance(error, DBAPIError) and error.connection_invalidated
            if isinstance(error, SQLAlchemyError) and not (lost and clock() >= end):
                raise self.explained(error) from error
            if self._breaker:
                await self._breaker.drop_idle()
            raise ArchiveUnavailable(f"{self.shown}: no answer within {seconds:g} s") from error
        except OSError as error:
            raise self.explained(error) from error

    @asynccontextmanager
    async def tables(self) -> AsyncIterator[AsyncConnection]:
        """A transaction on our own tables. What is refused there is not the fault of what is written, unless the
        database says so: a table is missing, or a right.

        :raises ArchiveUnavailable: when the database, or a table, cannot be used now.
        :raises StatementError: when it does not take what is written.
        """
        try:
            async with self.transaction() as connection:
                yield connection
        except StatementError as error:
            if _about_values(error.__cause__):
                raise
            raise ArchiveUnavailable(f"{self.shown}: {error}") from error

    def explained(self, error: SQLAlchemyError | OSError) -> ArchiveUnavailable | StatementError:
        """An error of the database as one of ours, in the database's own words and without the statement."""
        origin: Any = error.orig if isinstance(error, DBAPIError) else error
        text = message_of(origin) or type(origin).__name__
        code = getattr(origin, "sqlstate", None) or next(iter(getattr(origin, "args", ())), None)
        if isinstance(error, DBAPIError) and not error.connection_invalidated and not self._transient(code, text):
            return StatementError(text)
        return ArchiveUnavailable(f"{self.shown}: {text}")

    def _transient(self, code: Any, text: str) -> bool:
        """Whether an error tells of the database and not of a statement."""
        if self.kind == "mysql":
            if code in _TRANSIENT_MYSQL:
                return True
            # before a statement is sent: no server, no right to connect, no such database
            return isinstance(code, int) and (code in {1044, 1045, 1049, 1129, 1130, 1698} or 2000 <= code < 2100)
        if self.kind == "sqlite":
            return bool(_TRANSIENT_SQLITE.search(text))
        return isinstance(code, str) and code.startswith(_TRANSIENT_POSTGRESQL)

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def _tell_when_closed(driver: Any) -> Callable[[Any, Any], None]:
    """aiomysql writes to a connection that is closed. What comes of it depends on the event loop: uvloop raises an
    error that is none of the database's. So it is told in the database's own way, which makes the pool open
    another connection.

    :param driver: SQLAlchemy's module for aiomysql, with its classes of errors.
    """
    gone = driver.OperationalError

    def prepare(adapted: Any, _record: Any) -> None:
        connection = adapted.driver_connection
        write = connection._write_bytes

        def write_bytes(data: bytes) -> None:
            if connection._writer.transport.is_closing():
                connection.close()  # or it would say goodbye over it
                raise gone(_SERVER_GONE, "MySQL server has gone away")
            write(data)

        connection._write_bytes = write_bytes

    return prepare


def _about_values(error: BaseException | None) -> bool:
    """Whether a database does not take values, and would take others. asyncpg has no DataError, but SQLSTATEs."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    return isinstance(error, (DataError, IntegrityError)) or state.startswith("22")


def message_of(error: Any) -> str:
    """The database's own message: ``1146: Table 'a.b' doesn't exist``."""
    while (cause := getattr(error, "orig", None)) is not None:
        error = cause
    arguments: tuple[Any, ...] = getattr(error, "args", ())
    if len(arguments) == 2 and isinstance(arguments[0], int):
        return f"{arguments[0]}: {arguments[1]}"
    return " ".join(str(error).split())


def parse_url(text: str, data_dir: Path) -> URL:
    """The URL of the setting with a driver that is installed.

    :raises ConfigError: when there is none, or the URL is none; never repeats a password.
    """
    if not text.strip():
        return URL.create("sqlite+aiosqlite", database=str(data_dir / "archive.db"))
    try:
        url = make_url(text.strip())
        backend = url.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise ConfigError(
            f"{SETTING}: is no URL; expected sqlite:///FILE, mysql://USER:PASSWORD@HOST/DATABASE (in a password, "
            "write @ : / ? # % as %40 %3A %2F %3F %23 %25) or empty"
        ) from error
    if backend not in _KINDS:
        raise ConfigError(
            f"{SETTING}: {backend!r} cannot be used; there are sqlite, mysql, mariadb and postgresql"
        )
    _, _, driver = url.drivername.partition("+")
    drivers = _DRIVERS[backend]
    if driver and driver not in drivers:
        raise ConfigError(
            f"{SETTING}: the driver {driver!r} cannot be used; leave it out, or name {_either(drivers)}"
        )
    installed = [name for name in ((driver,) if driver else drivers) if importlib.util.find_spec(name)]
    if not installed:
        raise ConfigError(
            f"{SETTING}: the driver of {backend} is not installed; install it: pip install {driver or drivers[0]}"
        )
    if backend == "sqlite":
        _check_file(url)
    elif not url.database:
        raise ConfigError(f"{SETTING}: names no database; expected {backend}://USER:PASSWORD@HOST/DATABASE")
    return url.set(drivername=f"{'mysql' if backend == 'mariadb' else backend}+{installed[0]}")


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(names)


def _check_file(url: URL) -> None:
    if not url.database or url.database == ":memory:":
        raise ConfigError(f"{SETTING}: names no file; expected sqlite:///FILE, or sqlite:////FILE from the root")
    folder = Path(url.database).parent
    if not folder.is_dir():
        raise ConfigError(f"{SETTING}: the folder {folder} does not exist; make it, or name another")


def _shown(url: URL) -> str:
    """Who, where and which database; queries may hold secrets, too."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)


def _set_up_sqlite(connection: Any, _: object) -> None:
    """The write-ahead log lets readers go on while rows are written. With NORMAL no process that dies loses
    anything; only a power failure can take the last transactions."""
    cursor = connection.cursor()
    try:
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA cache_size=-16000")
    finally:
        cursor.close()
