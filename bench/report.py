"""The table of results."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

RESULTS = Path(__file__).parent / "results.json"


@dataclass
class Row:
    """One figure.

    :ivar must: the figure to reach, with its direction, for people.
    :ivar met: whether it was.
    :ivar compare: what others measured on such a machine.
    :ivar notes: CPU shares and what else explains the figure.
    """

    figure: str
    value: str
    must: str
    met: bool
    compare: str = ""
    notes: dict[str, float | str] = field(default_factory=dict)


def shares(window: dict[str, float]) -> dict[str, float | str]:
    """CPU shares as notes."""
    return {name: f"{share:.0%}" for name, share in window.items()}


def show(rows: list[Row], *, write: Callable[[str], None] = print) -> None:
    """Print the table and keep it in ``results.json``."""
    write(f"{'figure':58} {'measured':>22} {'must':>16}      notes")
    for row in rows:
        notes = ", ".join(f"{name} {value}" for name, value in row.notes.items())
        write(f"{row.figure:58} {row.value:>22} {row.must:>16} {'ok  ' if row.met else 'MISS'} {notes}")
        if row.compare:
            write(f"{'':58}   compare: {row.compare}")
    known = {row["figure"]: row for row in json.loads(RESULTS.read_text())["rows"]} if RESULTS.exists() else {}
    known |= {row.figure: asdict(row) for row in rows}
    RESULTS.write_text(
        json.dumps({"machine": platform.platform(), "rows": list(known.values())}, indent=1, ensure_ascii=False)
    )


def percentile(sorted_values: list[float], share: float) -> float:
    """``share`` 0.5 is the median; nearest rank."""
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]
