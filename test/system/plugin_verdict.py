"""What the archive, formulas and alarms must be in the end, worked out again from what the devices sent.

Nothing is asked of the plugins: the devices know which numbers they sent, a reader of the stream which were
stored; the archive must have each of those once. Formulas and alarms are worked out over the archive.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from test.system.archives import Archive
from test.system.oracle import Reader, Verdict, table
from test.system.plugin_plant import PERIOD, PluginPlant

Row = tuple[int, float, int]
"""Microseconds, value, quality."""


@dataclass
class Outcome:
    """What the archive says, beside the verdict over the stream.

    :ivar archived: samples of devices in the archive.
    :ivar wrong: what is not as it must be, in words.
    """

    verdict: Verdict
    archived: int = 0
    results: int = 0
    alarms: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return self.verdict.right and not (self.lost or self.duplicated or self.wrong)


def judge(archive: Archive, plant: PluginPlant, reader: Reader) -> Outcome:
    """Compare the archive with what the devices sent and the stream had; slow."""
    outcome = Outcome(reader.judge(plant))
    samples = _samples(archive)
    for (device, item), numbers in reader.stored.items():
        rows = [value for _, value, quality in samples.get((device, item), []) if not quality]
        outcome.archived += len(rows)
        outcome.lost += len(set(numbers) - set(rows))
        outcome.duplicated += len(rows) - len(set(rows))
        if foreign := set(rows) - set(numbers):
            outcome.wrong.append(f"{device}:{item}: archived and never stored: {sorted(foreign)[:5]}")
    alarms = _alarms(archive)
    for device in plant.servers:
        first, second = samples[device, "s0"], {t: (v, q) for t, v, q in samples[device, "s1"]}
        sums = {t: v + second[t][0] for t, v, q in first if not q and t in second and not second[t][1]}
        turns = {t: v % PERIOD for t, v, q in first if not q}
        for item, expected in (
            ("sum", sums),
            ("twice", {t: 2 * v for t, v in sums.items()}),
            ("turn", turns),
        ):
            rows = [(t, v) for t, v, q in samples[f"v{device}", item] if not q]
            outcome.results += len(rows)
            outcome.wrong += _differences(f"v{device}:{item}", list(expected.items()), rows)
        for name, key, values in (
            ("rule", (device, "s0", "rule"), turns),
            ("limit", (f"v{device}", "turn", "high"), turns),
        ):
            found = alarms.get(key, [])
            outcome.alarms += len(found)
            outcome.wrong += _differences(f"alarms of {key[0]} by {name}", _transitions(values), found)
    return outcome


def _samples(archive: Archive) -> dict[tuple[str, str], list[Row]]:
    rows = archive.rows(
        "SELECT device_id, item_id, time, value, quality FROM pdc_sample "
        "JOIN pdc_series ON id = series WHERE value IS NOT NULL ORDER BY series, time"
    )
    assert rows is not None, "the archive cannot be read"
    found: dict[tuple[str, str], list[Row]] = {}
    for device, item, micros, value, quality in rows:
        found.setdefault((device, item), []).append((int(micros), float(value), int(quality)))
    return found


def _alarms(archive: Archive) -> dict[tuple[str, str, str], list[tuple[int, str]]]:
    rows = archive.rows("SELECT device_id, item_id, kind, time, event FROM pdc_alarm ORDER BY time, entry")
    assert rows is not None, "the archive cannot be read"
    found: dict[tuple[str, str, str], list[tuple[int, str]]] = {}
    for device, item, kind, micros, event in rows:
        found.setdefault((device, item, kind), []).append((int(micros), event))
    return found


def _transitions(turns: dict[int, float]) -> list[tuple[int, str]]:
    """What follows from the values in order of time: an alarm is on in the second half of each turn."""
    rows, active = [], False
    for micros, value in turns.items():
        if (value >= PERIOD / 2) != active:
            active = not active
            rows.append((micros, "raise" if active else "clear"))
    return rows


def _differences(what: str, expected: list[Any], found: list[Any]) -> list[str]:
    if expected == found:
        return []
    missing, more = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    return [
        f"{what}: {len(expected)} expected, {len(found)} found; {len(missing)} missing {missing[:4]}, "
        f"{len(more)} too many {more[:4]}"
    ]


def show(
    injected: Counter[str], recoveries: dict[str, float], outcome: Outcome, title: str = "faults with all plugins"
) -> bool:
    """Print the figures; whether everything was as it must be.

    :param recoveries: fault -> longest time until all was well again, seconds.
    """
    verdict = outcome.verdict
    table(
        title,
        {
            "injected": sum(injected.values()),
            **{f"injected: {name}": count for name, count in sorted(injected.items())},
            "sent": f"{verdict.sent:,}",
            "stored": f"{verdict.stored:,}",
            "under way at a fault": verdict.unacknowledged,
            "archived": f"{outcome.archived:,}",
            "results of formulas": f"{outcome.results:,}",
            "transitions of alarms": f"{outcome.alarms:,}",
            "lost": verdict.lost + outcome.lost,
            "duplicated": verdict.duplicated + outcome.duplicated,
            "wrong": len(outcome.wrong),
            **{f"recovery, s: {name}": took for name, took in sorted(recoveries.items())},
            "longest recovery, s": max(recoveries.values(), default=0.0),
        },
    )
    print(*outcome.wrong[:20], sep="\n", flush=True)
    return outcome.right
