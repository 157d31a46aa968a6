"""What the audit trail says of the outcome of a control."""

from __future__ import annotations

import pytest

from pydatacoll.errors import DeviceTimeout
from pydatacoll.model import Sample
from pydatacoll.store.audit import failed
from pydatacoll.store.command_messages import CommandReply, audit_result


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        ("", "ok"),
        ("terminated", "ok"),
        ("confirmed", "ok (confirmed, not terminated)"),
        ("partly", "ok (partly)"),
    ],
)
def test_what_succeeded_is_no_failure(outcome: str, text: str) -> None:
    result = audit_result(CommandReply(200, Sample(1.0, 1), outcome=outcome))
    assert result == text
    assert failed(result) is False


def test_what_failed() -> None:
    result = audit_result(CommandReply.failed(DeviceTimeout("ok is not what came", outcome="select_timeout")))
    assert result == "504 ok is not what came"
    assert failed(result) is True
    assert failed("okay") is True
    assert failed(None) is None
