"""Tells a service manager (systemd) that the service runs, stops or hangs, as ``sd_notify(3)`` describes.

Without ``NOTIFY_SOCKET`` in the environment everything here does nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import MutableMapping

log = logging.getLogger(__name__)


class Notifier:
    """The service manager of this process.

    :ivar watchdog_period: seconds between two signs of life, half of what the service manager allows; ``None``
        when it expects none.
    """

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        """Takes the variables out of the environment, so that what this process starts does not answer for it."""
        self._address = environment.pop("NOTIFY_SOCKET", "")
        allowed = environment.pop("WATCHDOG_USEC", "")
        asked = environment.pop("WATCHDOG_PID", "")
        expected = allowed.isdigit() and int(allowed) > 0 and asked in {"", str(os.getpid())}
        self.watchdog_period = int(allowed) / 2_000_000 if self._address and expected else None

    def _send(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(text.encode(), address)
        except OSError as error:  # a service must not fail because nobody listens
            log.warning("the service manager was not told %s: %s", text.partition("=")[0], error)

    def ready(self, status: str) -> None:
        """The service runs; ``status`` is a line for ``systemctl status``."""
        self._send(f"READY=1\nSTATUS={status}\nMAINPID={os.getpid()}")

    def stopping(self) -> None:
        """The service has begun to stop."""
        self._send("STOPPING=1\nSTATUS=stopping")

    async def watchdog(self) -> None:
        """Give signs of life from the event loop until cancelled: a loop that hangs gives none."""
        while self.watchdog_period is not None:
            self._send("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_period)
