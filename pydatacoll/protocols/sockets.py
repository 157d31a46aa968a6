"""Connections that take back what has not arrived.

Else the kernel goes on sending a command into a dead link, also for a process that was killed, and the device
would execute it when the link is back.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios

_ON, _OFF = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)


def forgetful(sock: socket.socket) -> None:
    """A close forgets what the device has not confirmed, and resets the connection."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ON)


def orderly(sock: socket.socket) -> None:
    """A close ends the connection as TCP means it (FIN)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _OFF)


def unconfirmed(transport: asyncio.WriteTransport, sock: socket.socket) -> int:
    """Bytes written that the device's end has not confirmed, as far as the system can tell."""
    waiting = transport.get_write_buffer_size()
    if sys.platform != "linux":
        return waiting
    try:
        kernel = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    except (OSError, ValueError):  # closed a moment ago
        return waiting
    return waiting + int.from_bytes(kernel, sys.byteorder)


def unread(sock: socket.socket) -> int:
    """Bytes that have arrived and were not read yet."""
    try:
        return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.FIONREAD, b"\0" * 4), sys.byteorder)
    except (OSError, ValueError):
        return 0
