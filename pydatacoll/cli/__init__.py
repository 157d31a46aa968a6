"""The ``pydatacoll`` command: a thin client of the REST API, and what starts and checks a server.

What is expensive to import is imported inside the commands, so that ``--help`` is quick.
"""

from __future__ import annotations

from pydatacoll.cli.group import main

__all__ = ["main"]
