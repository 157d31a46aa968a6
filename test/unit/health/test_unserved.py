"""What the model asks of plugins that nobody runs is told, with the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from pydatacoll.health.unserved import asked, unserved
from pydatacoll.model import Formula, TermItem
from pydatacoll.model.registry import Registry
from pydatacoll.model.steps import finish


def told(model: Registry, *running: str) -> list[str]:
    found = list(unserved(finish(asked(model)), running))
    assert all((check.check, check.status) == ("plugins", "warning") for check in found)
    assert all("plugins in the settings file" in check.remedy for check in found)
    return [check.detail for check in found]


def with_point(**fields: Any) -> Registry:
    model = Registry()
    model.put_term_item(TermItem(term_id="t", item_id="i", **fields))
    return model


@pytest.mark.parametrize(
    "fields",
    [
        {"up_limit": 240.0},
        {"low_low": 1.0},
        {"do_verify": "value > 1"},
        {"stale_after": 60.0},
        {"quality_alarm": True},
    ],
)
def test_alarms_that_nobody_raises(fields: dict[str, Any]) -> None:
    (text,) = told(with_point(**fields))
    assert text.startswith("1 points have limits, a rule or stale_after, but the plugin checker is not enabled")
    assert text.endswith("(t:i)")
    assert told(with_point(**fields), "checker") == []


@pytest.mark.parametrize("fields", [{}, {"stale_after": 60.0, "quality_alarm": False}, {"hysteresis": 1.0}])
def test_points_without_alarms_ask_for_nothing(fields: dict[str, Any]) -> None:
    assert told(with_point(**fields)) == []


def test_statements_that_nobody_executes() -> None:
    model = with_point(db_save_sql="INSERT INTO t VALUES (:value)")
    assert [text.split(",")[0] for text in told(model)] == ["1 points have db_save_sql or db_warn_sql"]
    assert told(model, "db_saver") == []


def test_formulas_that_nobody_works_out() -> None:
    model = Registry()
    for n in range(7):
        model.put_formula(Formula(id=f"f{n}", formula="1", device_id="d", term_id="t", item_id="i"))
    (text,) = told(model, "checker")
    assert text.startswith("7 formulas are not worked out")
    assert text.endswith("(f0; f1; f2; f3; f4; and 2 more)")
    assert told(model, "formula") == []
