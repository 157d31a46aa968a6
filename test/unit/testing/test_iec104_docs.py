"""The page about the simulated RTU names every fault and every option that there is."""

from __future__ import annotations

import re
from pathlib import Path

from pydatacoll.testing.iec104_faults import Iec104Fault

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "simulated_rtu.rst"


def test_every_fault_is_in_its_table() -> None:
    rows = re.findall(r"^``(\w+)``  ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(Iec104Fault.KINDS)


def test_the_faults_of_the_examples_are_ones() -> None:
    examples = re.findall(r"--fault ([a-z_]+:\S+)", PAGE.read_text(encoding="utf-8"))
    assert len(examples) == 2
    for example in examples:
        Iec104Fault.parse(example)
