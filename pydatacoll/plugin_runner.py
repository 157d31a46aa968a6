"""``python -m pydatacoll.plugin_runner NAME``: one plugin alone; several copies share the work."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import click

from pydatacoll import supervise
from pydatacoll.config import known_secrets
from pydatacoll.logging_setup import setup_logging
from pydatacoll.runtime import load_from_options, plugin_hosts, run_command, runtime, store_url, tune_gc
from pydatacoll.settings import Settings

log = logging.getLogger("pydatacoll.plugin_runner")  # not __name__: this module runs as __main__


async def serve(settings: Settings, config: Path | None, name: str, stop: asyncio.Event) -> None:
    """Run until ``stop`` is set."""
    async with runtime(settings, store_url(settings), config) as made:
        host = plugin_hosts(made, [name])[name]
        task = supervise.start(f"plugin {name}", host.run)
        log.info("plugin %s is running", name)
        tune_gc()
        made.notifier.ready(f"plugin {name}")
        await stop.wait()
        made.notifier.stopping()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@click.command(help="Run the plugin NAME alone.", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="settings file (TOML)")
@click.option("--redis", help="URL of the store")
@click.option("--data-dir", help="directory for files")
@click.option("--log-level", help="debug, info, warning or error")
def main(name: str, config: Path | None, **options: Any) -> None:
    """Entry point."""
    settings = load_from_options(config, options)
    setup_logging(settings.log, known_secrets(settings))
    run_command(lambda stop: serve(settings, config, name, stop), settings, config, options)


if __name__ == "__main__":
    main()
