"""The table in the documentation."""

from __future__ import annotations

from pathlib import Path

from pydatacoll.protocols.modbus_tcp import ModbusDevice
from test.unit.bulk.conftest import Bench

POINTS = Path(__file__).parents[3] / "docs" / "examples" / "points.csv"


def test_the_example_of_the_documentation_can_be_imported(bench: Bench) -> None:
    bench.bring("csv", POINTS.read_bytes())
    assert {device: len(list(bench.registry.points_of(device))) for device in bench.registry.devices} == {
        "gateway1": 6,
        "pump1": 2,
    }
    gateway = bench.registry.devices["gateway1"]
    assert isinstance(gateway, ModbusDevice)
    assert (gateway.ip, gateway.timeout) == ("127.0.0.1", 2)
    assert bench.registry.terms["gateway1.meter2"].address == 2
    assert bench.registry.term_items["pump1.plc", "speed_set"].writable
    assert bench.registry.term_items["gateway1.meter1", "ua"].up_limit == 253
    assert bench.bring("csv", bench.export("csv")) == []
