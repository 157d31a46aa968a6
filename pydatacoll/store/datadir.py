"""The data directory: who may see it, and who holds it."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from pydatacoll.errors import ConfigError

LOCK = "lock"


def prepare(path: Path) -> Path:
    """Make the directory, readable for its owner only, or check an existing one. The result is absolute.

    :raises ConfigError: when it cannot be made or used, or when other users may write to it.
    """
    try:
        path = path.expanduser().resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            if not path.is_dir():
                raise ConfigError(
                    f"data_dir: {path} is not a directory; remove it, or choose another with --data-dir"
                ) from None
        status = path.stat()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"data_dir: {path} cannot be used: {reason}; make it as this user, or choose another with --data-dir"
        ) from error
    mode = stat.S_IMODE(status.st_mode)
    if hasattr(os, "geteuid") and status.st_uid not in {0, os.geteuid()}:  # links in it could lead anywhere
        raise ConfigError(
            f"data_dir: {path} belongs to another user (uid {status.st_uid}); run as that user, run: "
            f"chown -R {os.geteuid()} '{path}', or choose another directory"
        )
    if mode & 0o022:
        raise ConfigError(
            f"data_dir: other users may write to {path} (mode {mode:04o}); run: chmod go-w '{path}', "
            "or choose another directory"
        )
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigError(
            f"data_dir: {path} is not writable for this user; chown it, or choose another with --data-dir"
        )
    return path


def try_lock(descriptor: int) -> bool:
    """Take an exclusive lock that the kernel gives back when the last holder of the open file is gone.

    :returns: whether it was free.
    :raises ConfigError: where there are no such locks.
    """
    if sys.platform == "win32":
        raise ConfigError("the embedded server needs Linux or macOS; set redis.url to a server of your own")
    import fcntl  # noqa: PLC0415 - does not exist on Windows, where everything else here may run

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise ConfigError(f"data_dir: its file system has no locks ({error}); choose another directory") from error
    return True


def read_pid(path: Path) -> int | None:
    """The process id in a lock file; ``None`` when there is none."""
    try:
        return int(path.read_bytes())
    except (OSError, ValueError):
        return None


class DirectoryLock:
    """Holds a data directory for this process until :meth:`release` or its end, however that comes.

    :raises ConfigError: when another process holds it; names its id and the remedy.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / LOCK
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                f"data_dir: {path} cannot be opened: {error.strerror or error}; make {directory} writable "
                "for this user, or choose another with --data-dir"
            ) from error
        self._descriptor: int | None = descriptor
        try:
            free = try_lock(descriptor)
        except BaseException:
            self.release()
            raise
        if not free:
            self.release()
            pid = read_pid(path)
            holder = f"process {pid}" if pid else "another process"
            raise ConfigError(
                f"data_dir: {directory} is in use by {holder}; stop it, or choose another one with --data-dir"
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Give the directory back; may be called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
