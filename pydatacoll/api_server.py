"""``python -m pydatacoll.api_server``: the whole system in one process.

Start order: store, model, HTTP, then manager and plugins once the store is settled. Stop order is the reverse:
no more requests, no more polling, what was read is stored, and the embedded store goes last.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import os
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
from aiohttp import web
from msgspec.structs import replace

from pydatacoll import supervise
from pydatacoll.api.access import Access
from pydatacoll.api.app import create_app
from pydatacoll.api.server import make_runner
from pydatacoll.api.services import Archive, Services
from pydatacoll.api.stats import HttpStats, command_families
from pydatacoll.api.tls import certificate
from pydatacoll.archive.config import ArchiveConfig
from pydatacoll.config import cautions, effective, known_secrets, plugin_settings
from pydatacoll.errors import ConfigError, StoreError, StoreUnavailable
from pydatacoll.health.diagnosis import Diagnosis
from pydatacoll.health.readiness import Readiness
from pydatacoll.live.budget import Budget
from pydatacoll.live.feed import Feed
from pydatacoll.logging_setup import setup_logging
from pydatacoll.manager.manager import DeviceManager
from pydatacoll.manager.metrics import Metrics
from pydatacoll.manager.plugin_host import PluginHost
from pydatacoll.manager.processes import ManagerProcesses
from pydatacoll.model.audit import batch_entries
from pydatacoll.model.change import PLURAL
from pydatacoll.model.registry import ModelView
from pydatacoll.model.steps import finish
from pydatacoll.model.transaction import Transaction
from pydatacoll.model.validation import KINDS
from pydatacoll.runtime import Runtime, load_from_options, plugin_hosts, run_command, runtime, tune_gc
from pydatacoll.settings import ServerSettings, Settings
from pydatacoll.store.alarms import Alarms
from pydatacoll.store.audit import Audit
from pydatacoll.store.client import Store
from pydatacoll.store.commands import CommandClient
from pydatacoll.store.embedded import EmbeddedServer
from pydatacoll.store.history import History
from pydatacoll.store.overview import look
from pydatacoll.store.plugin_forget import check_unused, forget
from pydatacoll.store.plugin_overview import look_at_plugins
from pydatacoll.store.plugin_progress import enrol
from pydatacoll.store.plugin_reports import read_reports
from pydatacoll.store.repository import Repository
from pydatacoll.store.status import StatusReader
from pydatacoll.web.site import load as load_pages

log = logging.getLogger("pydatacoll.api_server")  # not __name__: this module runs as __main__


DEMO_PLUGINS = ("checker", "db_saver", "formula")
"""Enabled with the demo plant when the user has not chosen any."""


def check_host(settings: Settings) -> None:
    """Refuse to listen beyond this machine without access tokens: anybody could operate the plant.

    :raises ConfigError: when the host is not a loopback address and no token is configured.
    """
    host = settings.server.host
    if settings.auth.tokens:
        return
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigError(
            f"server.host: {host} is not a loopback address, and without access tokens anybody who reaches it "
            "could operate the plant; make one with: pydatacoll token new --scope admin, and put its hash under "
            "[[auth.tokens]] in the settings file; or keep 127.0.0.1"
        )


def _cannot_listen(server: ServerSettings, error: OSError) -> ConfigError:
    # asyncio's own text repeats the address; a name that is not found has no number of an error
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
    if error.errno in {errno.EADDRINUSE, errno.EACCES}:
        return ConfigError(
            f"server.port: cannot listen on {server.host}:{server.port}: {reason}; "
            "choose another with --port (0 takes any free one)"
        )
    return ConfigError(
        f"server.host: cannot listen on {server.host}: {reason}; give an address of this machine, "
        "127.0.0.1 for this machine only or 0.0.0.0 for all its networks"
    )


class _Model:
    """The repository as requests see it: a model that was never read is no empty model."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self.transact = repository.transact
        self.transact_steps = repository.transact_steps
        self._read = False

    @property
    def registry(self) -> ModelView:
        """
        :raises StoreUnavailable: when the store has not been reached since the start.
        """
        self._read = self._read or self._repository.ready
        if not self._read:
            raise StoreUnavailable("the model has not been read from the store yet")
        return self._repository.registry


class ApiServer:
    """Composition of one API server; :meth:`serve` runs it."""

    def __init__(
        self, settings: Settings, *, config: Path | None = None, demo: bool = False, manager: bool = True
    ) -> None:
        check_host(settings)
        if demo and not settings.plugins:
            settings = replace(settings, plugins=list(DEMO_PLUGINS))
        self._config = config
        self._settings = settings
        self._demo = demo
        self._demo_loaded = False
        self._with_manager = manager
        self._manager: DeviceManager | None = None
        self._hosts: dict[str, PluginHost] = {}

    async def serve(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set; prints the URL when ready."""
        async with AsyncExitStack() as stack:
            url = self._settings.redis.url
            if url == "embedded":
                embedded = EmbeddedServer(Path(self._settings.data_dir), self._settings.redis)
                url = await embedded.start()
                stack.push_async_callback(embedded.stop)
            made = await stack.enter_async_context(runtime(self._settings, url, self._config))
            self._hosts = plugin_hosts(made, self._settings.plugins)
            background = asyncio.get_running_loop().create_task(
                self._collect(made, url), name="manager and plugins"
            )
            background.add_done_callback(lambda _: stop.set())
            stack.push_async_callback(_cancel, background)
            await self._listen(stack, made)
            for setting, text, remedy in cautions(self._settings, datetime.now(UTC)):
                log.warning("%s: %s; %s", setting, text, remedy)
            await stop.wait()
            made.notifier.stopping()
            if background.done():
                background.result()  # it never ends by itself: raises why it did
            log.info("stopping")

    async def _listen(self, stack: AsyncExitStack, made: Runtime) -> None:
        commands = CommandClient(made.store, timeout=self._settings.server.call_timeout)
        listening = supervise.start("command replies", commands.run)
        stack.push_async_callback(_cancel, listening)
        status = StatusReader(made.store)
        http = HttpStats()
        reports = partial(read_reports, made.store, self._settings.plugins)
        metrics = Metrics(
            made.repository,
            status,
            lambda: look(made.store),
            devices=self._settings.server.device_metrics,
            plugins=reports,
            more=lambda: [*http.families(), *command_families(commands.outcomes)],
        )
        stack.push_async_callback(_cancel, supervise.start("loop lag", metrics.lag.run))
        readiness = Readiness(
            made.store, made.store_settled, made.repository, status, lambda: self._demo and not self._demo_loaded
        )
        diagnosis = Diagnosis(self._settings, self._config, made.store, status)
        archive = self._archive(stack)
        pages = load_pages()
        if not pages:
            log.info("the web pages are not built, a browser gets the list of routes: build them with make web")
        app = create_app(
            Services(
                settings=self._settings,
                schemas=made.schemas,
                repository=_Model(made.repository),
                history=History(made.store),
                status=status,
                commands=commands,
                readiness=readiness.reasons,
                diagnosis=diagnosis.checks,
                metrics=metrics.text,
                http=http,
                audit=Audit(made.store),
                alarms=Alarms(made.store),
                plugins_enabled=frozenset(self._settings.plugins),
                plugins=partial(look_at_plugins, made.store),
                plugin_unused=partial(check_unused, made.store),
                plugin_forget=partial(forget, made.store),
                archive=archive,
                access=Access(self._settings.auth),
                live=self._live(made),
            ),
            pages,
        )

        async def finish_commands(_: web.Application) -> None:
            commands.finish()

        app.on_shutdown.append(finish_commands)
        runner = make_runner(app, shutdown_timeout=2.0, keepalive_timeout=75.0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        server = self._settings.server
        secured = certificate(server)
        if secured is not None:
            stack.push_async_callback(_cancel, supervise.start("certificate", secured.watch))
        try:
            context = secured.context if secured is not None else None
            site = web.TCPSite(runner, server.host, server.port, backlog=1024, ssl_context=context)
            await site.start()
        except OSError as error:
            raise _cannot_listen(server, error) from error
        port = runner.addresses[0][1]
        host = f"[{server.host}]" if ":" in server.host else server.host
        scheme = "http" if secured is None else "https"
        click.echo(f"PyDataColl is running on {scheme}://{host}:{port}")
        made.notifier.ready(f"running on {scheme}://{host}:{port}")

    def _live(self, made: Runtime) -> Feed:
        """Live push; nothing runs of it before somebody listens."""
        virtual = {name: driver.virtual for name, driver in made.schemas.protocols.items()}
        server = self._settings.server
        budget = Budget(server.live_subscriptions, server.live_points)
        return Feed(made.store, made.repository, virtual, most=server.live_clients, budget=budget)

    def _archive(self, stack: AsyncExitStack) -> Archive | None:
        """The archive for reading, whichever process writes it; SQLAlchemy is imported only when there is one."""
        settings, name = self._settings, "db_saver"
        if name not in settings.plugins and name not in settings.plugin:
            return None
        from pydatacoll.archive.archive import Archive as DatabaseArchive  # noqa: PLC0415

        config = plugin_settings(settings, name, ArchiveConfig, self._config)
        archive = DatabaseArchive(config, Path(settings.data_dir))
        stack.push_async_callback(archive.close)
        return archive

    async def _collect(self, made: Runtime, url: str) -> None:
        """Manager, plugins and demo plant, once the store is there; until cancelled."""
        await made.store_settled.wait()
        async with AsyncExitStack() as stack:
            await self._enrol(made.store)
            plugins = [supervise.start(f"plugin {name}", host.run) for name, host in self._hosts.items()]
            stack.push_async_callback(_cancel, *plugins)
            if self._with_manager and self._settings.manager.processes:
                await stack.enter_async_context(self._manager_processes(url))
            elif self._with_manager:
                self._manager = DeviceManager(made.store, made.repository, made.drivers, self._settings)
                await stack.enter_async_context(self._manager)
            if self._demo:
                await self._load_demo(stack, made)
            tune_gc()
            await asyncio.Event().wait()

    async def _enrol(self, store: Store) -> None:
        """What is collected from the first moment on is for the plugins, too, which take their time to start."""
        try:
            for name in self._hosts:
                await enrol(store, name)
        except StoreError as error:
            log.warning("plugins that are new here begin with what is stored once they run: %s", error)

    def _manager_processes(self, url: str) -> ManagerProcesses:
        # by environment, not by option: a URL may hold a password, and options are for all to see
        environment = {
            "PYDATACOLL_REDIS__URL": url,
            "PYDATACOLL_DATA_DIR": self._settings.data_dir,
            "PYDATACOLL_LOG__LEVEL": self._settings.log.level,
        }
        arguments = [] if self._config is None else ["--config", str(self._config)]
        return ManagerProcesses(self._settings.manager.processes, arguments, environment)

    async def _load_demo(self, stack: AsyncExitStack, made: Runtime) -> None:
        """Simulated devices, and their model where they are not yet in it."""
        from pydatacoll.testing.demo import DemoPlant  # noqa: PLC0415 - only wanted with --demo

        plant = DemoPlant()
        await plant.start()
        stack.push_async_callback(plant.stop)
        await made.repository.loaded()
        payloads = plant.payloads()
        known = made.repository.registry.devices
        ports = {device["id"]: device["port"] for device in payloads["devices"] if "port" in device}

        def audited(tx: Transaction) -> None:
            for entry in finish(batch_entries(tx.changes, tx.overlay, tx.registry)):
                tx.audit({"action": "demo", "object": "demo", "result": "ok", **entry})

        def load(tx: Transaction) -> str:
            if not known:
                for kind in KINDS:
                    tx.batch_upsert(kind, payloads.get(PLURAL[kind], []))
                audited(tx)
                return f"the demo plant is loaded: {len(ports)} simulated devices"
            # the simulated devices have other ports at every start
            for device_id in ports.keys() & known.keys():
                tx.merge("device", device_id, {"port": ports[device_id]})
            audited(tx)
            return (
                f"the model is not empty: {len(ports.keys() & known.keys())} devices of the demo plant are in it"
            )

        log.info("%s", await made.repository.transact(load))
        self._demo_loaded = True


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@click.command(
    help="Run PyDataColl: REST API, device manager, plugins and, by default, its own store.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--host", help="address to listen on (127.0.0.1)")
@click.option("--port", help="TCP port (8080); 0 takes any free one")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="settings file (TOML)")
@click.option("--data-dir", help="directory of the embedded store and of plugins' files (data)")
@click.option("--redis", help="URL of a Redis or Valkey server >= 7, or 'embedded' (embedded)")
@click.option("--plugins", help="plugins to enable, comma separated")
@click.option(
    "--demo",
    is_flag=True,
    help="run simulated devices, and load them when the model is empty; with all plugins, unless you choose some",
)
@click.option("--managers", help="0: one manager in this process; N: that many manager processes (0)")
@click.option("--no-manager", is_flag=True, help="run no device manager")
@click.option("--log-level", help="debug, info, warning or error (info)")
@click.option("--print-config", is_flag=True, help="print the effective settings and exit")
def main(config: Path | None, demo: bool, no_manager: bool, print_config: bool, **options: Any) -> None:
    """Entry point."""
    settings = load_from_options(config, options)
    if print_config:
        click.echo(effective(settings))
        return
    setup_logging(settings.log, known_secrets(settings))

    async def run(stop: asyncio.Event) -> None:
        await ApiServer(settings, config=config, demo=demo, manager=not no_manager).serve(stop)

    run_command(run, settings, config, options)


if __name__ == "__main__":
    main()
