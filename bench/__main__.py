"""``python -m bench [NAME ...]``: run all benchmarks, or those named."""

from __future__ import annotations

import sys

from bench import collection, rest
from bench.report import Row, show

BENCHMARKS = {
    "full_speed": collection.full_speed,
    "once_a_second": collection.once_a_second,
    "latency": collection.latency,
    "control": rest.control,
    "requests": rest.requests,
    "start": rest.start,
}


def main() -> None:
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"unknown benchmark {unknown[0]!r}; there are: {', '.join(BENCHMARKS)}")
    rows: list[Row] = []
    for name in names:
        print(f"running {name}: {BENCHMARKS[name].__doc__}", file=sys.stderr)
        rows += BENCHMARKS[name]()
    show(rows)


if __name__ == "__main__":
    main()
