"""The package c104, an independent stack of IEC 60870-5-104: missing only where the requirements leave it out."""

from __future__ import annotations

import importlib
import platform
import sys
from typing import Any

import pytest

EXPECTED = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64") and sys.version_info < (3, 14)


def lib60870() -> Any:
    """The module; skips the test, or the whole file, where there is none for the platform, and fails elsewhere."""
    if EXPECTED:
        return importlib.import_module("c104")
    return pytest.importorskip("c104", reason="c104 has no wheel for this platform")
