"""Until when a certificate is valid: as much of X.509 (RFC 5280, 4.1) as that takes. Pure."""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _EXPLICIT_0, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


def expiry(pem: str) -> datetime:
    """``notAfter`` of the first certificate of a chain, which is the server's own.

    :raises ValueError: when there is no certificate in the text.
    """
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("no certificate")
    _, certificate, _ = _element(ssl.PEM_cert_to_DER_cert(found[0]))
    _, fields, _ = _element(certificate)
    tag, _, rest = _element(fields)
    if tag == _EXPLICIT_0:  # the version stands before the serial number
        _, _, rest = _element(rest)
    for _ in range(2):  # signature algorithm, issuer
        _, _, rest = _element(rest)
    tag, validity, _ = _element(rest)
    if tag != _SEQUENCE:
        raise ValueError("not a certificate")
    _, _, after = _element(validity)
    tag, text, _ = _element(after)
    return _time(tag, text.decode("ascii"))


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag and content of the first element, and what follows it (DER: X.690, 8.1)."""
    if len(data) < 2:
        raise ValueError("truncated")
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if len(data) < start + length:
        raise ValueError("truncated")
    return data[0], data[start : start + length], data[start + length :]


def _time(tag: int, text: str) -> datetime:
    """RFC 5280, 4.1.2.5: two-digit years from 50 on are of the last century."""
    if tag == _UTC_TIME:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
