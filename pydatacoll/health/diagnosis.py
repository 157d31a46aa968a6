"""Gathers what the checks look at."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydatacoll.codec.certificate import expiry
from pydatacoll.config import cautions, known_secrets
from pydatacoll.errors import StoreError, StoreRefused
from pydatacoll.health import checks
from pydatacoll.health.checks import Check
from pydatacoll.health.readiness import AWAY, remedy_of
from pydatacoll.health.unserved import asked, unserved
from pydatacoll.model.registry import ModelView
from pydatacoll.settings import Settings
from pydatacoll.store.client import Store
from pydatacoll.store.overview import Overview, look, try_write
from pydatacoll.store.pace import Pace
from pydatacoll.store.plugin_reports import read_reports
from pydatacoll.store.status import StatusReader

REPORT_PERIOD = 2.0
"""Seconds between two reports of a manager."""


class Diagnosis:
    """Looks at everything an operator should look after. It changes nothing, and waits for nothing long.

    :param config: the settings file, whose rights are looked at.
    """

    def __init__(
        self,
        settings: Settings,
        config: Path | None,
        store: Store,
        status: StatusReader,
    ) -> None:
        self._settings = settings
        self._config = config
        self._store = store
        self._status = status

    async def checks(self, model: Callable[[], ModelView]) -> Sequence[Check]:
        """All checks, as far as the store can be asked; of devices only those in the model."""
        found: list[Check] = []
        overview = await self._store_checks(found)
        if overview is not None:
            try:
                now = model()
                ids = list(now.devices)
                links = dict(zip(ids, await self._status.links(ids), strict=True))
                details = await self._status.all_devices()
            except StoreError as error:
                found.append(Check("devices", "failed", str(error), AWAY))
            else:
                found.append(checks.devices(links))
                found.append(checks.points(links, details))
                found += checks.silent(links, details, overview.time)
                reports = await read_reports(self._store, self._settings.plugins)
                found += checks.plugins(overview, self._settings.plugins, reports)
                running = {*self._settings.plugins, *(name for name, alive in reports.items() if alive)}
                found += unserved(await Pace().run(asked(now)), running)
        settings = self._settings
        found += [
            Check("settings", "warning", f"{setting}: {text}", remedy)
            for setting, text, remedy in cautions(settings, datetime.now(UTC))
        ]
        found += await asyncio.to_thread(self._files)
        return found

    async def _store_checks(self, found: list[Check]) -> Overview | None:
        embedded = self._settings.redis.url == "embedded"
        before = time.time()
        try:
            overview = await look(self._store)
            after = time.time()
        except StoreError as error:
            remedy = "it is started again by itself; see its log in the data directory" if embedded else AWAY
            found.append(Check("store", "failed", str(error), remedy))
            return None
        found += checks.store(overview.info, embedded=embedded)
        try:
            await try_write(self._store)
        except StoreRefused as error:
            found.append(Check("writes", "failed", str(error), remedy_of(str(error))))
        except StoreError as error:
            found.append(Check("writes", "failed", str(error), AWAY))
        if overview.layout is not None:
            found.append(Check("layout", "ok", f"version {overview.layout} of the layout of our keys"))
        found += checks.managers(overview)
        found.append(checks.clock((before + after) / 2, overview.time, after - before))
        found += checks.manager_clocks(overview, REPORT_PERIOD)
        return overview

    def _files(self) -> list[Check]:
        """Disk, rights and certificate: what asks the file system, which may be slow."""
        found: list[Check] = []
        directory = Path(self._settings.data_dir)
        try:
            usage = shutil.disk_usage(directory)
            found.append(checks.disk(str(directory), usage.free, usage.total))
            mode = stat.S_IMODE(os.stat(directory).st_mode)
            if check := checks.rights(str(directory), mode, "the data directory"):
                found.append(check)
        except FileNotFoundError:
            pass  # with a store elsewhere nothing may have been written yet
        except OSError as error:
            found.append(
                Check("disk", "failed", f"{directory}: {error.strerror}", "mend it, or choose another data_dir")
            )
        if self._config is not None and (self._settings.auth.tokens or known_secrets(self._settings)):
            try:
                mode = stat.S_IMODE(os.stat(self._config).st_mode)
            except OSError as error:
                found.append(
                    Check("rights", "warning", f"{self._config}: {error.strerror}", "restore the settings file")
                )
            else:
                check = checks.rights(str(self._config), mode, "the settings file with secrets")
                if check and mode & 0o044:
                    found.append(check)
        if self._settings.server.tls_cert:
            found.append(self._certificate(Path(self._settings.server.tls_cert)))
        return found

    @staticmethod
    def _certificate(path: Path) -> Check:
        try:
            left = (expiry(path.read_text(encoding="ascii", errors="replace")) - datetime.now(UTC)).total_seconds()
        except (OSError, ValueError) as error:
            return Check("certificate", "failed", f"{path} cannot be read: {error}", "restore it")
        return checks.certificate(str(path), left)
