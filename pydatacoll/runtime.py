"""What the processes have in common: the store that may be away, the model, drivers, plugins, the main loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydatacoll.archive.config import database_kind
from pydatacoll.archive.sql_template import statement_problem
from pydatacoll.config import known_secrets, load_settings, locate, plugin_settings, scrub
from pydatacoll.discovery import discover_plugins, discover_protocols
from pydatacoll.errors import ConfigError, PyDataCollError, StoreError, StoreTooNew, StoreUnavailable
from pydatacoll.expression import formula_problem, rule_problem
from pydatacoll.manager.plugin_host import HostSettings, PluginHost
from pydatacoll.model import PointId
from pydatacoll.model.network import Networks
from pydatacoll.model.validation import Schemas
from pydatacoll.notify import Notifier
from pydatacoll.sdk import DeviceDriver, Plugin, PluginContext
from pydatacoll.settings import Settings
from pydatacoll.store.client import Store
from pydatacoll.store.embedded import running_url
from pydatacoll.store.keys import partition_of
from pydatacoll.store.plugin_reads import PluginReads
from pydatacoll.store.repository import Repository

log = logging.getLogger(__name__)


OPTIONS = {
    "host": "server.host",
    "port": "server.port",
    "data_dir": "data_dir",
    "redis": "redis.url",
    "plugins": "plugins",
    "managers": "manager.processes",
    "log_level": "log.level",
}
"""Command line option -> setting."""


def load_from_options(config: Path | None, options: Mapping[str, Any]) -> Settings:
    """Settings of a command: its options over environment over file; ends the program when they are bad."""
    given = {OPTIONS[name]: value for name, value in options.items() if value is not None}
    try:
        return load_settings(config, os.environ, given)
    except ConfigError as error:
        sys.exit(f"pydatacoll: {scrub(str(error))}")


def run_command(
    main: Callable[[asyncio.Event], Coroutine[Any, Any, None]],
    settings: Settings,
    config: Path | None,
    options: Mapping[str, Any],
    *,
    child: bool = False,
) -> None:
    """:func:`run_until_stopped`; the error of a setting is shown with its file and line, secrets masked."""
    given = {OPTIONS[name]: value for name, value in options.items() if value is not None}
    secrets = known_secrets(settings)
    run_until_stopped(main, lambda text: scrub(locate(text, config, os.environ, given), secrets), force=not child)


@dataclass(slots=True)
class Runtime:
    """Store, drivers and model of one process.

    :ivar config: the settings file, for the line numbers of errors.
    :ivar discovery_problems: what was found out, and logged, about plugin folders.
    :ivar store_settled: set once the store was reached and its number of partitions is known.
    """

    settings: Settings
    config: Path | None
    store: Store
    drivers: dict[str, type[DeviceDriver]]
    discovery_problems: list[str]
    schemas: Schemas
    repository: Repository
    store_settled: asyncio.Event
    notifier: Notifier


@contextlib.asynccontextmanager
async def runtime(settings: Settings, url: str, config: Path | None = None) -> AsyncIterator[Runtime]:
    """Everything a process needs; the store may be away and comes in when it can."""
    folders = [Path(folder) for folder in settings.plugin_dirs]
    found = discover_protocols(folders)
    schemas = Schemas(
        found.found,
        Networks(settings.manager.networks),
        rule_problem=rule_problem,
        formula_problem=formula_problem,
        statement_problem=partial(statement_problem, database_kind(settings.plugin.get("db_saver", {}))),
    )
    try:
        store = Store(url, settings.manager.partitions, settings.audit)
        store.connection()
    except TypeError as error:  # redis-py takes what stands after the ? for arguments of its connection
        name = str(error).rpartition(" ")[2].strip("'")
        raise ConfigError(f"redis.url: {name} after the ? is not known; remove it") from error
    except ValueError as error:
        raise ConfigError(f"redis.url: cannot be used: {error}") from error
    settled, started = asyncio.Event(), asyncio.Event()
    notifier = Notifier(os.environ)
    repository = Repository(store, schemas)
    made = Runtime(settings, config, store, found.found, found.problems, schemas, repository, settled, notifier)
    settling = asyncio.get_running_loop().create_task(_settle(store, settled, started), name="store settling")
    alive = asyncio.get_running_loop().create_task(notifier.watchdog(), name="watchdog")
    try:
        await asyncio.wait({settling}, timeout=2.0)
        if settling.done():
            settling.result()
        started.set()
        await repository.start()
        yield made
    finally:
        settling.cancel()
        alive.cancel()
        await asyncio.gather(settling, alive, return_exceptions=True)
        await repository.stop()
        await store.close()


async def _settle(store: Store, settled: asyncio.Event, started: asyncio.Event) -> None:
    """Reach the store, say what is unsafe about it, migrate older data, agree on the partitions; try again until
    it works.

    :raises ConfigError: when the data is too new, unless the process has ``started`` already.
    """
    pause = 0.2
    said = ""
    while True:
        try:
            problems = await store.problems()
            await store.settle()
        except StoreUnavailable as error:
            if str(error) != said:
                said = str(error)
                log.warning("%s; trying again", said)
        except StoreError as error:
            if isinstance(error, StoreTooNew) and not started.is_set():
                raise ConfigError(str(error)) from error
            if str(error) != said:
                said = str(error)
                log.error("%s", said)  # noqa: TRY400 - the text says it all
        else:
            for problem in problems:
                log.warning("the store is not safe: %s", problem)
            settled.set()
            return
        await asyncio.sleep(pause)
        pause = min(pause * 2, 2.0)


def store_url(settings: Settings) -> str:
    """URL of the store for a process that does not embed it: the one given, or that of an API server running here.

    :raises ConfigError: when there is neither.
    """
    if settings.redis.url != "embedded":
        return settings.redis.url
    return running_url(Path(settings.data_dir))


def plugin_hosts(made: Runtime, names: list[str]) -> dict[str, PluginHost]:
    """Hosts of the plugins named; each wants a task for its ``run``.

    :raises ConfigError: for an unknown plugin, or settings that its type refuses.
    """
    settings = made.settings
    folders = [Path(folder) for folder in settings.plugin_dirs]
    found = discover_plugins(folders, made.discovery_problems).found
    hosts = {}
    for name in names:
        plugin_type = found.get(name)
        if plugin_type is None:
            known = ", ".join(sorted(found)) or "none"
            raise ConfigError(
                f"plugins: there is no plugin {name!r}; installed: {known}; mend the name, or name the folder of "
                "its file in plugin_dirs"
            )
        hosts[name] = _host(made, name, plugin_type)
    return hosts


def _host(made: Runtime, name: str, plugin_type: type[Plugin]) -> PluginHost:
    settings = made.settings
    config = plugin_settings(settings, name, plugin_type.config_type, made.config)
    store = Store(made.store.url, made.store.partitions, settings.audit)  # connections of its own
    registry = made.repository.registry
    context = PluginContext(
        registry,
        Path(settings.data_dir),
        logging.getLogger(f"pydatacoll.plugin.{name}"),
        PluginReads(store),
        on_change=made.repository.subscribe,
        partition_of=lambda device_id: partition_of(device_id, store.partitions),
    )

    def history(point: PointId) -> int:
        item = registry.term_items.get((point.term_id, point.item_id))
        own = None if item is None else item.history_length
        return settings.history.length if own is None else own

    async def ready() -> None:
        await made.store_settled.wait()
        store.partitions = made.store.partitions
        await made.repository.loaded()

    shared = HostSettings(settings.manager.lease, settings.stream.max_bytes, history)
    return PluginHost(plugin_type(config, context), store, shared, ready)


def run_until_stopped(
    main: Callable[[asyncio.Event], Coroutine[Any, Any, None]],
    shown: Callable[[str], str] = scrub,
    *,
    force: bool = True,
) -> None:
    """Run ``main(stop)`` on the fastest loop there is; SIGINT and SIGTERM set ``stop``.

    A second signal ends the process at once, with status 128 + its number, without waiting for anything: what it
    started ends by itself. Exits with status 1 and one line on stderr for errors of ours; others are logged with
    their traceback.

    :param shown: makes the text of an error fit to be shown.
    :param force: whether a second signal does that; not in a child, which hears Ctrl+C and then its parent.
    """

    async def entry() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def asked(number: signal.Signals) -> None:
            if not stop.is_set():
                stop.set()
            elif force:
                log.warning("stopped at once by a second signal")
                os._exit(128 + number)

        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, asked, number)
            except NotImplementedError:  # Windows has no loop signal handlers; KeyboardInterrupt ends the run
                break
        await main(stop)

    try:
        _run(entry())
    except PyDataCollError as error:
        sys.exit(f"pydatacoll: {shown(str(error))}")
    except KeyboardInterrupt:
        sys.exit(130)


def _run(entry: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        asyncio.run(entry)
    else:
        uvloop.run(entry)


def tune_gc() -> None:
    """After start-up: what exists now lives long; collect younger generations less often.

    The model is many small objects; without this a full collection stops the loop for tens of milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
