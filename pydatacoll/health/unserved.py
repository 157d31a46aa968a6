"""What the model asks of plugins that are not there: alarms, derived values, statements. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from msgspec import Struct

from pydatacoll.health.checks import WORST, Check
from pydatacoll.model.alarm import kinds_of
from pydatacoll.model.registry import ModelView
from pydatacoll.model.steps import Steps


class Asked(Struct, kw_only=True):
    """How much of the model is work for a plugin, with the first of its objects."""

    count: int = 0
    first: list[str] = []

    def add(self, name: str) -> None:
        """One more."""
        self.count += 1
        if len(self.first) < WORST:
            self.first.append(name)


_TEXTS: Final = {
    "checker": (
        "{} points have limits, a rule or stale_after, but the plugin checker is not enabled: nobody raises "
        "their alarms",
        "; or set quality_alarm to false where stale_after is for the quality alone",
    ),
    "formula": ("{} formulas are not worked out: the plugin formula is not enabled", ""),
    "db_saver": (
        "{} points have db_save_sql or db_warn_sql, but the plugin db_saver is not enabled: nobody executes these "
        "statements",
        "; or remove the statements",
    ),
}
"""Plugin -> what is wrong without it, and what else can be done than enabling it."""


def asked(model: ModelView) -> Steps[dict[str, Asked]]:
    """Plugin -> what it is asked for, in steps: there may be many points."""
    found = {name: Asked() for name in _TEXTS}
    checker, saver = found["checker"], found["db_saver"]
    for item in list(model.term_items.values()):
        yield
        if kinds_of(item):
            checker.add(f"{item.term_id}:{item.item_id}")
        if item.db_save_sql is not None or item.db_warn_sql is not None:
            saver.add(f"{item.term_id}:{item.item_id}")
    for formula in list(model.formulas):
        found["formula"].add(formula)
    return found


def unserved(found: dict[str, Asked], running: Collection[str]) -> Iterator[Check]:
    """
    :param found: of :func:`asked`.
    :param running: plugins that are enabled here, or run elsewhere.
    """
    for name, (text, otherwise) in _TEXTS.items():
        one = found[name]
        if not one.count or name in running:
            continue
        more = f"; and {one.count - WORST} more" if one.count > WORST else ""
        yield Check(
            "plugins",
            "warning",
            f"{text.format(one.count)} ({'; '.join(one.first)}{more})",
            f'add "{name}" to plugins in the settings file, or run it alone with python -m '
            f"pydatacoll.plugin_runner {name}{otherwise}",
        )
