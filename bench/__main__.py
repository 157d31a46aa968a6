"""``python -m bench [NAME ...]``: run all benchmarks but ``memory``, or those named."""

from __future__ import annotations

import sys

from bench import (
    alarms,
    archive,
    bulk,
    collection,
    expressions,
    formulas,
    iec104,
    live,
    pages,
    plugins,
    rest,
    whole,
)
from bench.report import Row, show

BENCHMARKS = {
    "full_speed": collection.full_speed,
    "once_a_second": collection.once_a_second,
    "latency": collection.latency,
    "iec104_full_speed": iec104.iec104_full_speed,
    "iec104_load": iec104.iec104_load,
    "iec104_interrogation": iec104.iec104_interrogation,
    "iec104_latency": iec104.iec104_latency,
    "iec104_commands": iec104.iec104_commands,
    "iec104_idle": iec104.iec104_idle,
    "expressions": expressions.expressions,
    "plugins": plugins.plugins,
    "checker": alarms.checker,
    "archive": archive.archive,
    "formula": formulas.formula,
    "whole": whole.whole,
    "control": rest.control,
    "requests": rest.requests,
    "start": rest.start,
    "transfer": bulk.transfer,
    "values": bulk.values,
    "access": bulk.access,
    "live": live.live,
    "pages": pages.pages,
    "memory": bulk.memory,
}
BY_NAME_ONLY = {"memory"}
"""Takes too long to be run with all the others."""


def main() -> None:
    names = sys.argv[1:] or [name for name in BENCHMARKS if name not in BY_NAME_ONLY]
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"unknown benchmark {unknown[0]!r}; there are: {', '.join(BENCHMARKS)}")
    rows: list[Row] = []
    try:
        for name in names:
            print(f"running {name}: {BENCHMARKS[name].__doc__}", file=sys.stderr)
            rows += BENCHMARKS[name]()
    finally:
        show(rows)  # what was measured before one failed is not lost


if __name__ == "__main__":
    main()
