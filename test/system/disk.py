"""A disk of few megabytes that can be filled."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

WITHOUT = "PYDATACOLL_TESTS_WITHOUT_MOUNT"


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True, text=True, timeout=20)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """``folder``, which must be there, on a disk of its own.

    Needs the right to mount; a test that cannot have it fails unless told so.
    """
    try:
        mount("-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder))
    except (OSError, subprocess.SubprocessError) as error:
        said = " ".join(str(getattr(error, "stderr", error)).split())
        reason = f"mounting a small disk needs root and CAP_SYS_ADMIN ({said})"
        if os.environ.get(WITHOUT):
            pytest.skip(reason)
        pytest.fail(f"{reason}; set {WITHOUT}=1 to go without", pytrace=False)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, timeout=20)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Not a byte is free on the disk of ``folder``."""
    filler = folder / "filler"
    with pytest.raises(OSError, match="No space left"):
        _fill(filler)
    try:
        yield
    finally:
        filler.unlink()


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
