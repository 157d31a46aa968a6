"""What is logged and how: one line per event on standard error, times in UTC."""

from __future__ import annotations

import logging
import sys
import time

from pydatacoll.settings import LogSettings

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s"


def setup_logging(settings: LogSettings) -> None:
    """Send everything of at least ``log.level`` to standard error. Calling it again replaces the setup.

    Libraries are logged from ``warning`` on, unless the level is ``debug``: their own chatter says nothing to
    an operator. Python warnings go the same way.
    """
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter(FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    level = logging.getLevelName(settings.level.upper())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level if level <= logging.DEBUG else max(level, logging.WARNING))
    for name in ("pydatacoll", "pydatacoll_plugins"):
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)
