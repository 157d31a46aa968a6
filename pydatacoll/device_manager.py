"""``python -m pydatacoll.device_manager``: a device manager alone; as many as needed, on as many hosts."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import click

from pydatacoll.config import known_secrets
from pydatacoll.logging_setup import setup_logging
from pydatacoll.manager.manager import DeviceManager
from pydatacoll.runtime import load_from_options, run_command, runtime, store_url, tune_gc
from pydatacoll.settings import Settings

log = logging.getLogger("pydatacoll.device_manager")  # not __name__: this module runs as __main__


async def serve(settings: Settings, config: Path | None, stop: asyncio.Event) -> None:
    """Run until ``stop`` is set."""
    async with runtime(settings, store_url(settings), config) as made:
        ending = asyncio.get_running_loop().create_task(stop.wait())
        settled = asyncio.get_running_loop().create_task(made.store_settled.wait())
        await asyncio.wait([ending, settled], return_when=asyncio.FIRST_COMPLETED)
        settled.cancel()
        if not stop.is_set():
            async with DeviceManager(made.store, made.repository, made.drivers, settings) as manager:
                log.info("device manager %s is running", manager.id)
                tune_gc()
                made.notifier.ready(f"device manager {manager.id}")
                await ending
                made.notifier.stopping()
        ending.cancel()


async def stop_with_parent(stop: asyncio.Event) -> None:
    """Set ``stop`` when standard input ends: the parent holds its other end and has gone."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    stop.set()


@click.command(help="Run a device manager alone.", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="settings file (TOML)")
@click.option("--redis", help="URL of the store")
@click.option("--data-dir", help="directory for files")
@click.option("--log-level", help="debug, info, warning or error")
@click.option("--stop-with-parent", "with_parent", is_flag=True, hidden=True)
def main(config: Path | None, with_parent: bool, **options: Any) -> None:
    """Entry point."""
    settings = load_from_options(config, options)
    setup_logging(settings.log, known_secrets(settings))

    async def run(stop: asyncio.Event) -> None:
        watching = asyncio.get_running_loop().create_task(stop_with_parent(stop)) if with_parent else None
        await serve(settings, config, stop)
        if watching is not None:
            watching.cancel()

    run_command(run, settings, config, options, child=with_parent)


if __name__ == "__main__":
    main()
