"""Tables as people make them in a spreadsheet."""

from __future__ import annotations

from typing import Any

import pytest

from pydatacoll.bulk.document import Malformed
from pydatacoll.bulk.read_csv import read_csv
from pydatacoll.model.steps import Progress
from pydatacoll.protocols.modbus_tcp import ModbusDevice, ModbusTermItem
from test.unit.bulk.conftest import Bench

HEAD = "device_id,device_name,protocol,ip,port,term_id,term_name,item_id,item_name,unit,protocol_code,coefficient"
FIRST = "d1,Pump,modbus_tcp,10.0.0.5,502,t1,Main,ua,Voltage,V,hr:0,0.1"


def test_rows_that_follow_may_repeat_or_only_name_what_is_described(bench: Bench) -> None:
    table = [HEAD, FIRST, "d1,Pump,modbus_tcp,10.0.0.5,502,t1,Main,ub,B,V,hr:2,", "d1,,,,,t1,,uc,C,,hr:4,"]
    bench.bring("csv", "\r\n".join(table))
    device = bench.registry.devices["d1"]
    assert isinstance(device, ModbusDevice)
    assert (device.name, device.ip, device.port) == ("Pump", "10.0.0.5", 502)
    points = [point for _, point in bench.registry.points_of("d1")]
    assert {(point.item_id, point.protocol_code, point.coefficient) for point in points} == {
        ("ua", "hr:0", 0.1),
        ("ub", "hr:2", 1.0),
        ("uc", "hr:4", 1.0),
    }


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("start", ["", "\ufeff", "sep={}\r\n"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_what_spreadsheets_write_is_read(bench: Bench, delimiter: str, start: str, end: str) -> None:
    table = f"{HEAD}{end}{FIRST}{end}".replace(",", delimiter)
    bench.bring("csv", start.format(delimiter) + table)
    assert bench.registry.devices["d1"].port == 502


def test_headers_may_be_written_freely(bench: Bench) -> None:
    bench.bring("csv", " Device ID ,DEVICE_NAME,Protocol,timeout,\nd1,Pump,modbus_tcp,2.5,\n")
    device = bench.registry.devices["d1"]
    assert isinstance(device, ModbusDevice)
    assert device.timeout == 2.5


def test_what_the_table_has_no_column_for_stays(bench: Bench) -> None:
    bench.bring("csv", f"{HEAD},deadband,device_timeout\n{FIRST},0.5,9\n")
    changes = bench.bring("csv", "device_id,term_id,item_id,coefficient,warn_msg\nd1,t1,ua,,high\n")
    assert [change.kind for change in changes] == ["term_item"]
    point = bench.registry.term_items["t1", "ua"]
    assert isinstance(point, ModbusTermItem)
    assert (point.protocol_code, point.deadband, point.coefficient, point.warn_msg) == ("hr:0", 0.5, 1.0, "high")
    bench.bring("csv", "device_id,ip\nd1,10.0.0.9\n")
    device = bench.registry.devices["d1"]
    assert isinstance(device, ModbusDevice)
    assert (device.ip, device.timeout, device.name) == ("10.0.0.9", 9, "Pump")


def test_in_place_of_the_model_a_column_that_is_missing_means_the_default(bench: Bench) -> None:
    bench.bring("csv", f"{HEAD},deadband\n{FIRST},0.5\n")
    bench.bring("csv", f"{HEAD}\n{FIRST}\n", replace=True)
    assert bench.registry.term_items["t1", "ua"].deadband is None


def test_objects_without_points_and_formulas_have_rows_of_their_own(bench: Bench) -> None:
    table = [
        f"{HEAD},formula_id,formula,p0",
        f"{FIRST},,,",
        "v,Virtual,formula,,,vt,Sums,total,Total,,,,,,",
        "spare,Spare,formula,,,,,,,,,,,,",
        "v,,,,,empty,Empty term,,,,,,,,",
        ",,,,,,,lonely,Lonely,,,,,,",
        "v,,,,,vt,,total,,,,,f1,p0 * 2,d1:t1:ua",
    ]
    bench.bring("csv", "\n".join(table))
    assert set(bench.registry.devices) == {"d1", "v", "spare"}
    assert set(bench.registry.terms) == {"t1", "vt", "empty"}
    assert set(bench.registry.items) == {"ua", "total", "lonely"}
    assert set(bench.registry.term_items) == {("t1", "ua"), ("vt", "total")}
    assert bench.registry.formulas["f1"].params == {"p0": "d1:t1:ua"}


BAD: list[tuple[str, list[tuple[int, str, str]]]] = [
    ("d1,Other,modbus_tcp,10.0.0.5,502,t1,Main,ub,B,V,hr:2,", [(3, "device_name", "in row 2")]),
    (
        "d1,,,10.0.0.6,,t1,,ub,B,V,hr:2,",
        [
            (3, "device_name", "is empty in row 3, but 'Pump' in row 2"),
            (3, "protocol", ""),
            (3, "ip", "10.0.0.6"),
            (3, "port", ""),
        ],
    ),
    (
        "d2,,,,,t1,,ub,B,V,hr:2,",
        [(3, "device_id", "device_id not found! d2"), (3, "device_id", "term t1 belongs")],
    ),
    ("d1,,,,,t1,,ua,,,hr:9,", [(3, "item_id", "stands in row 2")]),
    ("d1,,,,,t1,,ub,,,hr:2,", [(3, "item_id", "not found! ub")]),
    ("d1,,,,,t9,,ua,,,hr:2,", [(3, "term_id", "not found! t9")]),
    ("d1,,,,,,,ub,B,,,", [(3, "term_id", "is empty")]),
    ("d1,,,,,t1,,,,,hr:2,", [(3, "item_id", "is empty, but the row has a protocol_code")]),
    ("d1,,,,,t1,,,B,,,", [(3, "item_id", "is empty, but the row has a item_name")]),
    (",Pump,,,,t1,,ub,B,,hr:2,", [(3, "device_id", "is empty, but the row has a device_name")]),
    ('d1,,,,,t1,,ub,B,,hr:2,"1,5"', [(3, "coefficient", "1.5")]),
    ("d1,,,,,t1,,ub,B,,hr:2,abc", [(3, "coefficient", "must be a number")]),
    ("d1,,,,,t1,,ub,B,,hr:2,NaN", [(3, "coefficient", "finite")]),
    ("d1,,,,,t1,,ub,B,,hr:2,1e400", [(3, "coefficient", "out of range")]),
    ("d1,,,,,t1,,ub,B,,100,", [(3, "protocol_code", "hr:100")]),
    ("d1,,,,,t1,,ub,B,,hr:0,", [(3, "protocol_code", "already used by term item t1:ua")]),
    ("d1,,,,,t1,,u b,B,,hr:2,", [(3, "item_id", "1-64 characters")]),
    ("d1,,,,,t1,,ub,B,,hr:2,,,x", [(3, "", "14 cells")]),
    ("d9,Nine,nosuch,,,t9,,ub,B,,hr:2,", [(3, "protocol", "unknown protocol")]),
    ("d9,Nine,modbus_tcp,,99999,t9,T,ub,B,,hr:2,", [(3, "port", "")]),
    ("d9,Nine,modbus_tcp,,99999,t9,T,ub,B,,hr:2,abc", [(3, "coefficient", "number"), (3, "port", "")]),
]


@pytest.mark.parametrize(("row", "expected"), BAD)
def test_every_fault_has_its_row_and_column(bench: Bench, row: str, expected: list[Any]) -> None:
    found = bench.faults("csv", f"{HEAD}\n{FIRST}\n{row}\n")
    assert sorted(fault[:2] for fault in found) == sorted(fault[:2] for fault in expected), found
    for (_, _, message), (_, _, part) in zip(sorted(found), sorted(expected), strict=True):
        assert part in message, found


def test_all_faults_are_told_at_once_and_by_line(bench: Bench) -> None:
    rows = [HEAD, FIRST, 'd1,,,,,t1,,ub,"two\nlines",V,hr:2,x', "", "d1,,,,,t1,,uc,C,,hr:4,y"]
    assert [(row, column) for row, column, _ in bench.faults("csv", "\n".join(rows))] == [
        (3, "coefficient"),
        (6, "coefficient"),
    ]


def test_a_device_with_a_fault_does_not_give_one_for_each_of_its_points(bench: Bench) -> None:
    rows = [f"bad!,x,modbus_tcp,,,t{n},T,i{n},I,,hr:{n}," for n in range(50)]
    assert [fault[:2] for fault in bench.faults("csv", "\n".join([HEAD, *rows]))] == [(2, "device_id")]


FILL = "fill it down, or describe the {} in one row and give only its {} in the others"


def test_a_changed_cell_among_many_that_repeat_it_is_one_fault_that_says_what_to_do(bench: Bench) -> None:
    rows = [f"d1,Pump,modbus_tcp,,,t1,Main,i{n},I{n},,hr:{n}," for n in range(20)]
    rows[4] = rows[4].replace("Pump", "Pump A")
    assert bench.faults("csv", "\n".join([HEAD, *rows])) == [
        (6, "device_name", f"is 'Pump A' in row 6, but 'Pump' in row 2; {FILL.format('device', 'device_id')}")
    ]
    rows[0], rows[4] = (
        rows[4].replace(",i4,I4,,hr:4,", ",i0,I0,,hr:0,"),
        rows[3].replace(",i3,I3,,hr:3", ",i4,I4,,hr:4"),
    )
    ((row, column, message),) = bench.faults("csv", "\n".join([HEAD, *rows]))
    assert (row, column) == (3, "device_name")
    assert message.startswith("is 'Pump' in rows 3-21, but 'Pump A' in row 2; ")
    given = [rows[0], *(row.replace("d1,Pump,modbus_tcp", "d1,,") for row in rows[1:])]
    assert bench.faults("csv", "\n".join([HEAD, *given])) == []  # as the message says
    filled = [row.replace("Pump,", "Pump A,") for row in rows]
    assert bench.faults("csv", "\n".join([HEAD, *filled])) == []


def test_rows_that_disagree_in_turn_are_all_named_or_counted(bench: Bench) -> None:
    names = ["A", "B", "B", "A", "C", "B", "D", "E", "E"]
    rows = [f"d1,Pump,modbus_tcp,,,t{n},T,ua,{name},,hr:{n}," for n, name in enumerate(names)]
    ((row, column, message),) = bench.faults("csv", "\n".join([HEAD, *rows]))
    assert (row, column) == (3, "item_name")
    assert message == (
        "is 'B' in rows 3-4 and 7, 'C' in row 6, 'D' in row 8, something else in 2 more, but 'A' in row 2; "
        + FILL.format("item", "item_id")
    )
    rows = [f"d1,Pump,modbus_tcp,,,t{n},T,ua,{'AB'[n % 2]},,hr:{n}," for n in range(20)]
    ((_, _, message),) = bench.faults("csv", "\n".join([HEAD, *rows]))
    assert message.startswith("is 'B' in rows 3, 5, 7, 9, 11 and 5 more, but 'A' in row 2; ")


def test_a_term_under_two_devices_is_one_fault(bench: Bench) -> None:
    rows = [f"d{1 + (n > 1)},Pump,modbus_tcp,,,t1,Main,i{n},I{n},,hr:{n}," for n in range(6)]
    assert bench.faults("csv", "\n".join([HEAD, *rows])) == [
        (4, "device_id", "is 'd2' in rows 4-7, but 'd1' in row 2; term t1 belongs to one device")
    ]


def test_too_many_rows_that_disagree_are_given_up_on(bench: Bench) -> None:
    rows = [f"d{n},{name},formula" for n in range(20_001) for name in "ab"]
    with pytest.raises(Malformed, match="more than 20000 faults"):
        bench.read("csv", "\n".join(["device_id,device_name,protocol", *rows]).encode())


def test_columns_that_are_not_known_or_stand_twice(bench: Bench) -> None:
    found = bench.faults("csv", "device_id,device_name,protcol,ip,IP\nd1,x,modbus_tcp,,\n")
    assert [fault[:2] for fault in found] == [(1, "ip"), (1, "protcol"), (2, "protocol")]
    assert "did you mean 'protocol'" in found[1][2]


def test_a_cell_under_a_column_without_name(bench: Bench) -> None:
    found = bench.faults("csv", "device_id,device_name,protocol,,\nd1,x,formula,,\nd2,y,formula,note,\n")
    assert [fault[0] for fault in found] == [3]


def test_a_formula_has_a_row_of_its_own(bench: Bench) -> None:
    found = bench.faults("csv", f"{HEAD},formula_id,formula\n{FIRST},f1,1+1\n")
    assert {(row, column) for row, column, _ in found} >= {(2, "protocol_code"), (2, "coefficient")}
    found = bench.faults("csv", f"{HEAD},formula_id,formula\n{FIRST},,\nd1,,,,,t1,,ua,,,,,,1+1\n")
    assert [fault[:2] for fault in found] == [(3, "formula_id")]


def test_what_is_only_named_cannot_stay_when_the_model_is_replaced(bench: Bench) -> None:
    bench.bring("csv", f"{HEAD}\n{FIRST}\n")
    found = bench.faults("csv", "device_id,term_id,item_id,protocol_code\nd1,t1,ua,hr:5\n", replace=True)
    assert [fault[:2] for fault in found] == [(2, "device_id"), (2, "item_id")]
    assert all("mode=replace would delete it" in fault[2] for fault in found)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "it is empty"),
        (b"\n\n", "line 1 is empty"),
        (HEAD.encode("utf-16"), "UTF-16"),
        (f"{HEAD}\n{FIRST}\n".encode() + "d2,Zähler".encode("latin-1"), "not UTF-8"),
        ("device_id,Größe\n".encode("latin-1"), "not UTF-8"),
        (b'device_id,device_name\nd1,ok\nd2,"open\n', "line 3"),
        (b'device_id,device_name\nd1,"a"b\n', "line 2"),
        (b"device_id,device_name\nd1," + b"x" * 2_000_000, "longer than"),
        (b"device_id,device_name\nd1," + b"x" * 200_000, "field larger"),
    ],
)
def test_what_is_no_table_is_refused_with_its_line(bench: Bench, raw: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        bench.read("csv", raw)


def test_a_long_table_is_read_in_many_steps(bench: Bench) -> None:
    rows = 5_000
    table = "\n".join([HEAD, *(f"d{n},x,modbus_tcp,,,t{n},T,i{n},I,,hr:1," for n in range(rows))]).encode()
    progress = Progress()
    steps = 0
    for _ in read_csv(table, bench.columns, progress):
        steps += 1
        assert progress.done <= progress.total == len(table)
    assert steps >= rows / 10
    assert progress.done >= progress.total * 0.9
