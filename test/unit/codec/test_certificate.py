"""Until when a certificate is valid, compared with what an independent reader says."""

from __future__ import annotations

import contextlib
import ssl
from datetime import UTC, datetime

import pytest
import trustme
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.codec.certificate import expiry


@pytest.mark.parametrize("year", [2027, 2049, 2050, 2099])  # from 2050 on dates are written differently
def test_the_end_is_what_another_reader_says(year: int) -> None:
    end = datetime(year, 12, 31, 23, 59, 58, tzinfo=UTC)
    issued = trustme.CA().issue_cert("plant.example", not_after=end)
    chain = "".join(part.bytes().decode() for part in issued.cert_chain_pems)
    own = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    assert expiry("some text\n" + chain) == own.not_valid_after_utc == end


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        expiry(text)


@given(st.binary(max_size=60))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        expiry(ssl.DER_cert_to_PEM_cert(data))
