"""Reports of one runner of a plugin."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence

from pydatacoll.errors import StoreError
from pydatacoll.manager.plugin_hosting import PluginStats
from pydatacoll.model.event import Event, Severity
from pydatacoll.plugin import Plugin
from pydatacoll.store.client import Store
from pydatacoll.store.events import note
from pydatacoll.store.plugin_reports import PluginReport, report, withdraw

log = logging.getLogger(__name__)

USUAL = frozenset({"starting", "running", "stopping", "stopped", "waiting for the store"})
"""States in which nothing is wrong with a plugin itself."""
PERIOD = 1.0
"""Seconds between two reports."""


class PluginReporter:
    """Reports until cancelled; :meth:`run` is its task."""

    def __init__(self, store: Store, plugin: str, runner: str, said: Callable[[], PluginReport]) -> None:
        self._store = store
        self._plugin = plugin
        self._runner = runner
        self._said = said
        self._trouble = ""

    @staticmethod
    def of(
        plugin: Plugin, state: str, partitions: Sequence[int], stats: PluginStats, longest_step: float
    ) -> PluginReport:
        """The present state."""
        try:
            status = plugin.status()
        except Exception as error:
            log.exception("plugin %s has no status", plugin.name)
            status = {"error": f"{type(error).__name__}: {error}"}
        return PluginReport(
            reported=time.time(),
            host=socket.gethostname(),
            pid=os.getpid(),
            state=state,
            partitions=list(partitions),
            handled=stats.handled,
            retries=stats.retries,
            dead_lettered=stats.dead_lettered,
            last_error=stats.last_error,
            last_error_time=stats.last_error_time,
            longest_step=round(longest_step, 4),
            description=plugin.description,
            counters=dict(plugin.context.counters),
            status=status,
        )

    async def run(self) -> None:
        """Report; while the store is away nobody can hear it."""
        while True:
            try:
                said = self._said()
                await report(self._store, self._plugin, self._runner, said)
                await self._tell(said.state)
            except StoreError as error:
                log.debug("plugin %s: no report: %s", self._plugin, error)
            except TypeError as error:  # the plugin's status is no JSON
                log.warning("plugin %s: its status cannot be shown: %s", self._plugin, error)
            await asyncio.sleep(PERIOD)

    async def _tell(self, state: str) -> None:
        """That a plugin cannot work, or works again, is an event.

        :raises StoreError: when the store is away.
        """
        trouble = "" if state in USUAL else state
        if trouble == self._trouble:
            return
        self._trouble = trouble
        text = f"plugin {self._plugin} " + (f"does not work: {trouble}" if trouble else "works again")
        severity: Severity = "error" if trouble else "info"
        details = {"plugin": self._plugin, "state": state}
        await note(
            self._store,
            [Event(kind="system", text=text, severity=severity, object=self._runner, details=details)],
        )

    async def end(self) -> None:
        """Take the report back.

        :raises StoreError: when the store is away.
        """
        await withdraw(self._store, self._plugin, self._runner)
