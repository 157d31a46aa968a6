"""TLS as of IEC 62351-3: both ends show certificates, at least TLS 1.2, the name of the station is checked.

The files are named in the device, relative to one folder (``manager.certificates``), and never lie outside of it:
whoever may configure devices must not make the manager read other files. They are read for each connection, so a
renewed certificate is used from the next one on.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pydatacoll.codec.certificate import expiry
from pydatacoll.errors import DeviceOffline
from pydatacoll.protocols.iec104.config import Iec104Device

_DAY = 86_400.0

BROKEN_OFF = "TLS: the device closed the connection during the handshake; it may not accept our certificate"

# X509_V_ERR_* of OpenSSL
_UNTRUSTED = frozenset({2, 18, 19, 20, 21, 24, 27})
_OTHER_NAME = frozenset({62, 64})
_OBJECTIONS = {
    3: "cannot be checked: tls_ca holds a revocation list, but none of the authority that issued it",
    9: "is not valid yet; look at the clocks of both",
    10: "has expired",
    23: "was revoked",
}


class Security(NamedTuple):
    """What a connection needs.

    :ivar expires: until when our own certificate is valid, epoch seconds; ``None`` without one.
    """

    context: ssl.SSLContext
    expires: float | None


async def load(device: Iec104Device, folder: Path | None) -> Security:
    """Read the files that a device names.

    :param folder: the folder of certificates.
    :raises DeviceOffline: one of them cannot be used; names the field, never shows what is in the file.
    """
    return await asyncio.to_thread(_load, device, folder)


def _load(device: Iec104Device, folder: Path | None) -> Security:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if device.tls_ca:
        _load_authorities(context, find("tls_ca", device.tls_ca, folder), device.tls_ca)
    else:
        context.load_default_certs()
    if not device.tls_certificate:
        return Security(context, None)
    certificate = find("tls_certificate", device.tls_certificate, folder)
    key = find("tls_key", device.tls_key, folder) if device.tls_key else None
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
        return Security(context, expiry(certificate.read_text("ascii", "replace")).timestamp())
    except (ssl.SSLError, ValueError) as error:
        names = f"{device.tls_certificate} and {device.tls_key}" if device.tls_key else device.tls_certificate
        raise DeviceOffline(
            f"tls_certificate: {names} cannot be used: {_reason(error)}; both must be PEM, and the key must be "
            "that of the certificate"
        ) from error
    except OSError as error:
        raise DeviceOffline(f"tls_certificate: cannot be read: {error.strerror or error}") from error


def _load_authorities(context: ssl.SSLContext, path: Path, name: str) -> None:
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise DeviceOffline(f"tls_ca: {name} holds no certificates in PEM ({_reason(error)})") from error
    except OSError as error:
        raise DeviceOffline(f"tls_ca: {name} cannot be read: {error.strerror or error}") from error
    if context.cert_store_stats()["crl"]:
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF


def _no_password() -> str:
    raise DeviceOffline("tls_key: the key is encrypted; store it without a passphrase, readable only here")


def find(field: str, name: str, folder: Path | None) -> Path:
    """The file that a device names.

    :param field: of the device, for the message.
    :raises DeviceOffline: there is no such file within the folder.
    """
    if folder is None:
        raise DeviceOffline(f"{field}: there is no folder of certificates here (manager.certificates)")
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\0" in name or "\\" in name:
        raise DeviceOffline(f"{field}: {name!r} must be a name within the folder of certificates")
    try:
        base = folder.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise DeviceOffline(
            f"{field}: the folder of certificates (manager.certificates) does not exist"
        ) from error
    try:
        path = (base / pure).resolve(strict=True)
        found = path.is_relative_to(base) and path.is_file()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        if isinstance(error, PermissionError):
            raise DeviceOffline(f"{field}: {name} cannot be read: {error.strerror}") from error
        found = False
    if not found:
        raise DeviceOffline(
            f"{field}: there is no file {name} in the folder of certificates (manager.certificates)"
        )
    return path


def in_words(error: ssl.SSLError) -> str:
    """Why TLS failed, in plain words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: the certificate of the device {_objection(error)}"
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return BROKEN_OFF
    reason = error.reason or ""
    if reason in {"WRONG_VERSION_NUMBER", "UNEXPECTED_MESSAGE", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        return "TLS: the device does not speak TLS on this port"
    if "PROTOCOL_VERSION" in reason or "UNSUPPORTED_PROTOCOL" in reason:
        return "TLS: the device has no version of TLS that is allowed; 1.2 is the lowest"
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return f"TLS: the device does not accept our certificate ({_reason(error)})"
    return f"TLS: {_reason(error)}"


def _objection(error: ssl.SSLCertVerificationError) -> str:
    code = error.verify_code
    if code in _UNTRUSTED:
        return f"is not from an authority that is trusted here (tls_ca): {error.verify_message}"
    if code in _OTHER_NAME:
        return f"is for another name (tls_name): {error.verify_message}"
    return _OBJECTIONS.get(code) or f"is not accepted: {error.verify_message}"


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return str(error)


def status(secured: ssl.SSLObject, expires: float | None, now: float) -> dict[str, Any]:
    """How a connection is secured, and how many days the certificates of both ends have left."""
    peer = secured.getpeercert() or {}
    end = peer.get("notAfter")
    cipher = secured.cipher()
    return {
        "version": secured.version(),
        "cipher": None if cipher is None else cipher[0],
        "device_certificate_days": _days(ssl.cert_time_to_seconds(end), now) if isinstance(end, str) else None,
        "own_certificate_days": None if expires is None else _days(expires, now),
    }


def _days(end: float, now: float) -> int:
    return math.floor((end - now) / _DAY)
