"""The demo plant: simulated devices with believable, consistent, slowly varying values. Three speak Modbus:

* ``feeder1``: a 20 kV feeder bay. Three-phase voltages and currents, power, energy, a breaker that can be
  operated; with the breaker open there is no current.
* ``transformer1``: temperatures follow the load; the tap changer moves the feeder's voltage.
* ``pumps1``: a gateway with two units, the reservoir and the drives; the flow follows the speed set-point.

Types, scalings, byte and word orders, registers, coils and single bits are mixed on purpose. The fourth, ``bay1``,
speaks IEC 60870-5-104: see :mod:`pydatacoll.testing.iec104_bay`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydatacoll.codec.registers import Layout
from pydatacoll.testing.demo_formulas import FORMULA_MODEL
from pydatacoll.testing.iec104_bay import BAY_MODEL, Bay
from pydatacoll.testing.modbus_server import ModbusServer
from pydatacoll.testing.signals import Signal

Payload = dict[str, Any]


def _item(item_id: str, name: str, unit: str = "", **options: Any) -> Payload:
    return {"id": item_id, "name": name, "unit": unit, **options}


_ALARMS: dict[tuple[str, str], Payload] = {
    ("feeder1.relay", "ua"): {
        "low_low": 10_200,
        "high_high": 13_000,
        "hysteresis": 50,
        "alarm_priority": "high",
        "warn_msg": "voltage of phase A",
    },
    ("feeder1.relay", "f"): {
        "down_limit": 49.975,
        "up_limit": 50.025,
        "hysteresis": 0.01,
        "alarm_delay": 1,
        "alarm_priority": "low",
        "warn_msg": "frequency of the grid",
    },
    ("feeder1.relay", "breaker"): {
        "do_verify": "value",
        "alarm_priority": "critical",
        "warn_msg": "feeder 1 is open",
    },
    ("pumps1.reservoir", "level_high"): {"do_verify": "not value", "warn_msg": "the reservoir is full"},
}
"""What else is an alarm, beside the limits of the points. The frequency leaves its band about once a minute."""


def _point(term_id: str, item_id: str, code: str, code_type: str | None = None, **options: Any) -> Payload:
    point: Payload = {"term_id": term_id, "item_id": item_id, "protocol_code": code, **options}
    if code_type is not None:
        point["code_type"] = code_type
    return point | _ALARMS.get((term_id, item_id), {})


_MODBUS_MODEL: dict[str, list[Payload]] = {
    "devices": [
        {
            "id": "feeder1",
            "name": "Feeder 1",
            "protocol": "modbus_tcp",
            "ip": "127.0.0.1",
            "description": "20 kV feeder bay, protection relay (simulated)",
        },
        {
            "id": "transformer1",
            "name": "Transformer 1",
            "protocol": "modbus_tcp",
            "ip": "127.0.0.1",
            "word_order": "little",
            "description": "110/20 kV power transformer, monitoring unit (simulated)",
        },
        {
            "id": "pumps1",
            "name": "Pump station 1",
            "protocol": "modbus_tcp",
            "ip": "127.0.0.1",
            "max_in_flight": 2,
            "description": "drinking water pump station, serial gateway with two units (simulated)",
        },
    ],
    "terms": [
        {"id": "feeder1.relay", "name": "Protection relay", "device_id": "feeder1", "address": 1},
        {"id": "transformer1.monitor", "name": "Transformer monitor", "device_id": "transformer1", "address": 1},
        {"id": "pumps1.reservoir", "name": "Reservoir", "device_id": "pumps1", "address": 1},
        {"id": "pumps1.drives", "name": "Pump drives", "device_id": "pumps1", "address": 2},
    ],
    "items": [
        _item("ua", "Voltage phase A", "V"),
        _item("ub", "Voltage phase B", "V"),
        _item("uc", "Voltage phase C", "V"),
        _item("ia", "Current phase A", "A"),
        _item("ib", "Current phase B", "A"),
        _item("ic", "Current phase C", "A"),
        _item("p", "Active power", "kW"),
        _item("q", "Reactive power", "kvar"),
        _item("f", "Frequency", "Hz"),
        _item("energy", "Active energy, import", "kWh"),
        _item("breaker", "Breaker closed"),
        _item("breaker_cmd", "Breaker command (1 = close)"),
        _item("trip", "Protection trip"),
        _item("model", "Device type"),
        _item("oil_temp", "Oil temperature", "°C"),
        _item("winding_temp", "Winding temperature", "°C"),
        _item("tap", "Tap position"),
        _item("load", "Load", "%"),
        _item("fan", "Cooling fans running"),
        _item("fan_cmd", "Cooling fans forced on"),
        _item("level", "Level", "m"),
        _item("inflow", "Inflow", "m³/h"),
        _item("outflow", "Outflow", "m³/h"),
        _item("volume", "Volume pumped", "m³"),
        _item("level_high", "Level high"),
        _item("pump1_on", "Pump 1 running"),
        _item("pump2_on", "Pump 2 running"),
        _item("pump1_speed", "Pump 1 speed", "1/min"),
        _item("pump2_speed", "Pump 2 speed", "1/min"),
        _item("speed_set", "Speed set-point", "1/min"),
        _item("pressure", "Discharge pressure", "bar"),
    ],
    "term_items": [
        _point("feeder1.relay", "ua", "ir:0", "uint32", coefficient=0.1, down_limit=10_800, up_limit=12_400),
        _point("feeder1.relay", "ub", "ir:2", "uint32", coefficient=0.1, down_limit=10_800, up_limit=12_400),
        _point("feeder1.relay", "uc", "ir:4", "uint32", coefficient=0.1, down_limit=10_800, up_limit=12_400),
        _point("feeder1.relay", "ia", "ir:6", coefficient=0.1, up_limit=380),
        _point("feeder1.relay", "ib", "ir:7", coefficient=0.1, up_limit=380),
        _point("feeder1.relay", "ic", "ir:8", coefficient=0.1, up_limit=380),
        _point("feeder1.relay", "p", "ir:10", "int32", coefficient=0.1),
        _point("feeder1.relay", "q", "ir:12", "int32", coefficient=0.1),
        _point("feeder1.relay", "f", "ir:14", coefficient=0.001, base_val=0.0),
        _point("feeder1.relay", "energy", "ir:16", "uint64", coefficient=0.001, poll_interval=5),
        _point("feeder1.relay", "breaker", "di:0"),
        _point("feeder1.relay", "trip", "di:1"),
        _point("feeder1.relay", "breaker_cmd", "co:0", writable=True),
        _point("feeder1.relay", "model", "hr:200", "string", length=16, poll_interval=60),
        _point("transformer1.monitor", "oil_temp", "4x1", "int16", coefficient=0.1, up_limit=85),
        _point("transformer1.monitor", "winding_temp", "4x2", "int16", coefficient=0.1, up_limit=105),
        _point("transformer1.monitor", "load", "4x3", "float32", up_limit=100),
        _point("transformer1.monitor", "tap", "4x11", "int16", writable=True, down_limit=1, up_limit=17),
        _point("transformer1.monitor", "fan", "1x1"),
        _point("transformer1.monitor", "fan_cmd", "0x1", writable=True),
        _point("pumps1.reservoir", "level", "hr:0", "float32", down_limit=1.0, up_limit=4.5),
        _point("pumps1.reservoir", "inflow", "hr:2", "float32"),
        _point("pumps1.reservoir", "outflow", "hr:4", "float32"),
        _point("pumps1.reservoir", "volume", "hr:6", "float64", poll_interval=5),
        _point("pumps1.reservoir", "level_high", "di:0"),
        _point("pumps1.drives", "pump1_on", "hr:0", bit=0),
        _point("pumps1.drives", "pump2_on", "hr:0", bit=1),
        _point("pumps1.drives", "pump1_speed", "hr:1", word_order="little"),
        _point("pumps1.drives", "pump2_speed", "hr:2", byte_order="little"),
        _point("pumps1.drives", "pressure", "hr:3", "int16", coefficient=0.01),
        _point("pumps1.drives", "speed_set", "hr:10", "float32", word_order="little", writable=True),
    ],
}

DEMO_MODEL = {
    kind: [*_MODBUS_MODEL.get(kind, []), *BAY_MODEL.get(kind, []), *payloads]
    for kind, payloads in FORMULA_MODEL.items()
}
"""Payloads as the REST API takes them, by kind; the ports of the devices are filled in by :class:`DemoPlant`."""

START: dict[tuple[str, str], bool | float | str] = {
    ("feeder1.relay", "breaker_cmd"): True,
    ("feeder1.relay", "model"): "DEMO-REL 615",
    ("transformer1.monitor", "tap"): 9,
    ("transformer1.monitor", "fan_cmd"): False,
    ("pumps1.drives", "speed_set"): 1450.0,
}
"""What the writable points, and those that never change, hold at the start."""

Function = Callable[[float], float]


TABLES = {"hr:": "hr", "4x": "hr", "ir:": "ir", "3x": "ir", "co:": "co", "0x": "co", "di:": "di", "1x": "di"}
"""Prefix of a ``protocol_code`` -> table; those with an ``x`` count from one."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a point of the demo is simulated."""

    server: ModbusServer
    unit: int
    table: str
    number: int
    layout: Layout

    @classmethod
    def of(cls, server: ModbusServer, device: Payload, term: Payload, point: Payload) -> _Place:
        code: str = point["protocol_code"]
        prefix = next(prefix for prefix in TABLES if code.startswith(prefix))
        number = int(code[len(prefix) :]) - (1 if prefix.endswith("x") else 0)
        table, bit = TABLES[prefix], point.get("bit")
        layout = Layout(
            point.get("code_type", "bool" if table in ("co", "di") or bit is not None else "uint16"),
            point.get("byte_order") or device.get("byte_order") or "big",
            point.get("word_order") or device.get("word_order") or "big",
            point.get("length", 0),
            bit,
        )
        return cls(server, term["address"], table, number, layout)


@dataclass(slots=True)
class _Computed(Signal):
    """A value worked out from the plant's state."""

    function: Function

    def at(self, time: float) -> float:
        return self.function(time)


def _wave(time: float, period: float, phase: float = 0.0) -> float:
    return math.sin(2 * math.pi * (time / period + phase))


class _Plant:
    """The physics: time, and what an operator has set, to values."""

    def __init__(self, read: Callable[[str, str], float]) -> None:
        self._read = read
        self._sums: dict[str, tuple[float, float]] = {"energy": (0.0, 184_320.5), "volume": (0.0, 52_817.25)}

    def _integral(self, name: str, time: float, rate_per_hour: float) -> float:
        before, total = self._sums[name]
        total += max(0.0, time - before) * rate_per_hour / 3600
        self._sums[name] = (time, total)
        return total

    def closed(self) -> bool:
        return bool(self._read("feeder1.relay", "breaker_cmd"))

    def voltage(self, time: float, phase: int) -> float:
        tap = 1 + (self._read("transformer1.monitor", "tap") - 9) * 0.0125
        return 11_560 * tap * (1 + 0.004 * _wave(time, 97, phase * 0.13) + 0.002 * _wave(time, 13, phase * 0.31))

    def current(self, time: float, phase: int) -> float:
        if not self.closed():
            return 0.0
        return 240 + 60 * _wave(time, 300) + 12 * _wave(time, 41, phase * 0.2) + 3 * _wave(time, 7, phase * 0.4)

    def power(self, time: float) -> float:
        return sum(self.voltage(time, n) * self.current(time, n) for n in range(3)) / 1000 * 0.96

    def load(self, time: float) -> float:
        return self.power(time) / 160

    def oil(self, time: float) -> float:
        cooling = 6 if self.fans(time) else 0
        return 38 + 0.32 * self.load(time - 90) - cooling + 0.3 * _wave(time, 60)

    def fans(self, time: float) -> bool:
        return bool(self._read("transformer1.monitor", "fan_cmd")) or self.load(time - 90) > 62

    def speed(self, time: float, pump: int) -> float:
        if pump == 2 and not self.second(time):
            return 0.0
        wanted = min(max(self._read("pumps1.drives", "speed_set"), 0.0), 3000.0)
        return max(0.0, wanted * (1 + 0.004 * _wave(time, 11, pump * 0.3)))

    def second(self, time: float) -> bool:
        return _wave(time, 240) > 0.2

    def inflow(self, time: float) -> float:
        return 0.062 * (self.speed(time, 1) + self.speed(time, 2))

    def level(self, time: float) -> float:
        return 2.9 + 0.9 * _wave(time, 480) + 0.02 * _wave(time, 5)

    def functions(self) -> dict[tuple[str, str], Function]:
        """Engineering value of every point that moves."""
        relay, monitor, reservoir, drives = (term["id"] for term in _MODBUS_MODEL["terms"])
        return {
            **{(relay, f"u{p}"): partial(self.voltage, phase=n) for n, p in enumerate("abc")},
            **{(relay, f"i{p}"): partial(self.current, phase=n) for n, p in enumerate("abc")},
            (relay, "p"): self.power,
            (relay, "q"): lambda t: self.power(t) * 0.29,
            (relay, "f"): lambda t: 50 + 0.03 * _wave(t, 53) + 0.008 * _wave(t, 3.7),
            (relay, "energy"): lambda t: self._integral("energy", t, self.power(t)),
            (relay, "breaker"): lambda _: self.closed(),
            (relay, "trip"): lambda _: 0,
            (monitor, "oil_temp"): self.oil,
            (monitor, "winding_temp"): lambda t: self.oil(t) + 8 + 0.1 * self.load(t),
            (monitor, "load"): self.load,
            (monitor, "fan"): self.fans,
            (reservoir, "level"): self.level,
            (reservoir, "inflow"): self.inflow,
            (reservoir, "outflow"): lambda t: 120 + 25 * _wave(t, 480, 0.25) + 2 * _wave(t, 17),
            (reservoir, "volume"): lambda t: self._integral("volume", t, self.inflow(t)),
            (reservoir, "level_high"): lambda t: self.level(t) > 3.6,
            (drives, "pump1_on"): lambda t: self.speed(t, 1) > 0,
            (drives, "pump2_on"): lambda t: self.speed(t, 2) > 0,
            (drives, "pump1_speed"): lambda t: self.speed(t, 1),
            (drives, "pump2_speed"): lambda t: self.speed(t, 2),
            (drives, "pressure"): lambda t: 4.2 + self.inflow(t) * 0.004 + 0.03 * _wave(t, 9),
        }


class DemoPlant:
    """Runs the simulated devices of the demo on free loopback ports."""

    def __init__(self) -> None:
        self._servers: dict[str, ModbusServer] = {}
        self._bay = Bay()
        self._places: dict[tuple[str, str], _Place] = {}

    async def start(self) -> None:
        """Start all devices."""
        for payload in _MODBUS_MODEL["devices"]:
            units = [term["address"] for term in _MODBUS_MODEL["terms"] if term["device_id"] == payload["id"]]
            server = self._servers[payload["id"]] = ModbusServer(units=units, history=0)
            await server.start()
        self._build()
        await self._bay.start()

    async def stop(self) -> None:
        """Stop all devices; may be called twice."""
        servers, self._servers = self._servers, {}
        for server in servers.values():
            await server.stop()
        await self._bay.stop()

    def payloads(self) -> dict[str, list[Payload]]:
        """The model with the devices' actual ports, by kind: devices, terms, items, term_items, formulas."""
        model = copy.deepcopy(_MODBUS_MODEL)
        for device in model["devices"]:
            device["port"] = self._servers[device["id"]].port
        bay = self._bay.payloads()
        return {
            kind: [*model.get(kind, []), *bay.get(kind, []), *payloads] for kind, payloads in FORMULA_MODEL.items()
        }

    def _build(self) -> None:
        devices = {device["id"]: device for device in _MODBUS_MODEL["devices"]}
        terms = {term["id"]: term for term in _MODBUS_MODEL["terms"]}
        moving = _Plant(self._value).functions()
        words: dict[tuple[str, int, int], list[tuple[int, Function]]] = {}
        for point in _MODBUS_MODEL["term_items"]:
            term = terms[point["term_id"]]
            device_id = term["device_id"]
            key = (point["term_id"], point["item_id"])
            place = _Place.of(self._servers[device_id], devices[device_id], term, point)
            self._places[key] = place
            unit = place.server.units[place.unit]
            if key in START:
                if place.table == "co":
                    unit.coils[place.number] = bool(START[key])
                else:
                    place.server.put(unit.holding, place.number, place.layout, START[key])
            elif place.layout.bit is not None:
                words.setdefault((device_id, place.unit, place.number), []).append((place.layout.bit, moving[key]))
            elif place.table in ("co", "di"):
                bits = unit.coils if place.table == "co" else unit.discrete
                bits.signal(place.number, _Computed(moving[key]))
            else:
                registers = unit.holding if place.table == "hr" else unit.inputs
                scale = point.get("coefficient", 1.0)
                registers.signal(place.number, _Computed(moving[key]), place.layout, scale=scale)
        for (device_id, unit_id, number), parts in words.items():
            self._servers[device_id].units[unit_id].holding.signal(number, _Computed(_word(parts)))

    def _value(self, term_id: str, item_id: str) -> float:
        """What an operator has set."""
        place = self._places[term_id, item_id]
        unit = place.server.units[place.unit]
        if place.table == "co":
            return unit.coils[place.number]
        return unit.holding.value(place.number, place.layout)


def _word(bits: list[tuple[int, Function]]) -> Function:
    """A status word of single bits."""
    return lambda time: sum(1 << bit for bit, function in bits if function(time))
