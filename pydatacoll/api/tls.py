"""HTTPS: the certificate, read again when its file changes."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Final

from pydatacoll.errors import ConfigError
from pydatacoll.settings import ServerSettings

log = logging.getLogger(__name__)

LOOK: Final = 10.0
"""Seconds between two looks at the files."""


def _no_password() -> str:
    raise ConfigError(
        "server.tls_key: the private key is encrypted; store it without a passphrase, readable only here"
    )


def _load(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        where = f"{cert} with {key}" if key else str(cert)
        raise ConfigError(
            f"server.tls_cert: {where} cannot be used: {reason}; both must be PEM, and the key must be "
            "that of the certificate"
        ) from error
    except OSError as error:
        at_fault = "tls_key" if key is not None and cert.is_file() and not _readable(key) else "tls_cert"
        path = key if at_fault == "tls_key" else cert
        raise ConfigError(f"server.{at_fault}: {path} cannot be read: {error.strerror or error}") from error


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


class Certificate:
    """The certificate and key of ``server.tls_cert`` and ``server.tls_key``.

    :ivar context: for the listening socket; new connections get the certificate loaded last.
    :raises ConfigError: when they cannot be used.
    """

    def __init__(self, server: ServerSettings) -> None:
        self._cert = Path(server.tls_cert)
        self._key = Path(server.tls_key) if server.tls_key else None
        self.context = self._fresh()
        self._stamp = self._stamps()

    def _fresh(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        _load(context, self._cert, self._key)
        return context

    def _stamps(self) -> list[tuple[int, int, int] | None]:
        stamps: list[tuple[int, int, int] | None] = []
        for path in (self._cert, self._key):
            try:
                stat = path.stat() if path is not None else None
            except OSError:
                stat = None
            stamps.append(None if stat is None else (stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return stamps

    def renew(self) -> bool:
        """Load the files again when they changed; a pair that does not fit (yet) changes nothing.

        :returns: whether a new certificate is in use.
        """
        stamp = self._stamps()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._fresh()  # on trial: a context keeps half of what it could not load
            _load(self.context, self._cert, self._key)
        except ConfigError as error:
            log.error("the changed certificate is not used: %s", error)  # noqa: TRY400 - the text says it all
            return False
        log.info("the certificate %s was read again", self._cert)
        return True

    async def watch(self) -> None:
        """Renew whenever the files change, until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            await asyncio.to_thread(self.renew)


def certificate(server: ServerSettings) -> Certificate | None:
    """The certificate, when one is configured.

    :raises ConfigError: when it cannot be used, or only a key is configured.
    """
    if server.tls_cert:
        return Certificate(server)
    if server.tls_key:
        raise ConfigError("server.tls_key: a key without server.tls_cert; set both, or none for plain HTTP")
    return None
