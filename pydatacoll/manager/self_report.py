"""What a manager says about itself, for ``/metrics`` and the diagnosis, whatever process is asked."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable

from pydatacoll.errors import StoreError
from pydatacoll.store.client import Store
from pydatacoll.store.ingest import Writer
from pydatacoll.store.overview import ManagerReport, report, withdraw

log = logging.getLogger(__name__)

PERIOD = 2.0
"""Seconds between two reports."""


class SelfReport:
    """Reports of one manager; :meth:`run` is its task."""

    def __init__(self, store: Store, manager_id: str, writer: Writer, devices: Callable[[], int]) -> None:
        self._store = store
        self._id = manager_id
        self._writer = writer
        self._devices = devices

    def now(self) -> ManagerReport:
        """The present state."""
        stats = self._writer.stats
        return ManagerReport(
            reported=time.time(),
            host=socket.gethostname(),
            pid=os.getpid(),
            devices=self._devices(),
            pending=self._writer.pending,
            error=self._writer.error,
            writer={
                "calls": stats.calls,
                "samples": stats.samples,
                "bytes": stats.bytes,
                "repeated": stats.repeated,
                "reconnects": stats.reconnects,
                "published": stats.published,
            },
        )

    async def run(self) -> None:
        """Report until cancelled; while the store is away nobody can hear it."""
        while True:
            try:
                await report(self._store, self._id, self.now())
            except StoreError as error:
                log.debug("no report: %s", error)
            await asyncio.sleep(PERIOD)

    async def end(self) -> None:
        """Take the report back.

        :raises StoreError: when the store is away.
        """
        await withdraw(self._store, self._id, time.time())
