"""What happened, in words."""

from __future__ import annotations

from typing import Any

import pytest

from pydatacoll.model.event import of_audit


def _entry(action: str, name: str, **more: Any) -> dict[str, Any]:
    return {"action": action, "object": name, "user": "", "result": "ok", "devices": [], **more}


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (_entry("device.create", "d", devices=["d"]), "device d created"),
        (_entry("term_item.merge", "t:i", user="alice"), "term item t:i changed by alice"),
        (
            _entry("item.batch", "items", counts={"items": {"created": 1, "changed": 20}}),
            "1 item created, 20 items changed",
        ),
        (
            _entry("term_item.batch_delete", "term_items", counts={"term_items": {"deleted": 2}}),
            "2 term items deleted",
        ),
        (
            _entry("import", "model", counts={"devices": {"deleted": 3}}, user="bob"),
            "import: 3 devices deleted by bob",
        ),
        (
            _entry("device.clone", "d", counts={"devices": {"created": 2}}, devices=["e", "f"]),
            "device d copied: 2 devices created",
        ),
        (_entry("ctrl", "d:t:i", after=5, before=4, devices=["d"], user="carol"), "d:t:i set to 5 by carol"),
        (_entry("ctrl", "d:t:i", after=False, before=True, devices=["d"]), "d:t:i set to 0"),
        (
            _entry("ctrl", "d:t:i", after=5, before=4, devices=["d"], result="503 no manager"),
            "d:t:i not set to 5: 503 no manager",
        ),
    ],
)
def test_entries_of_the_audit_trail_in_words(entry: dict[str, Any], text: str) -> None:
    seen = of_audit(entry)
    assert seen is not None
    assert seen.event.text == text
    assert seen.whole is (not entry["devices"])


def test_what_is_shown_elsewhere_or_has_not_happened_yet_is_no_event() -> None:
    assert of_audit(_entry("alarm.ack", "d:t:i:high")) is None
    assert of_audit(_entry("request.refused", "GET /")) is None
    assert of_audit(_entry("ctrl", "d:t:i", result=None)) is None
