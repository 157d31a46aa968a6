"""Who broke the protocol."""

from __future__ import annotations


class ProtocolError(Exception):
    """The rules of IEC 60870-5-104 were broken."""


class LocalProtocolError(ProtocolError):
    """We were asked to send what cannot be sent."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what it must not.

    :ivar data: the octets that are wrong, as they arrived.
    """

    def __init__(self, message: str, data: bytes) -> None:
        super().__init__(message)
        self.data = data
