"""Checks for schemathesis: it takes the ``default`` response of an operation for any status, we do not."""

from __future__ import annotations

from typing import Any

import schemathesis

DOCUMENTED_5XX = {502, 503, 504}


@schemathesis.check
def only_documented_statuses(ctx: Any, response: Any, case: Any) -> None:
    """Every status is named by its operation, and of the 5xx only those that are no bugs exist."""
    status = response.status_code
    assert status < 500 or status in DOCUMENTED_5XX, (
        f"{case.method} {case.path} answered {status}: {response.text}"
    )
    documented = case.operation.definition.raw["responses"]
    known = case.operation.method.upper() == case.method.upper()
    assert not known or str(status) in documented, f"{case.method} {case.path} does not document {status}"
