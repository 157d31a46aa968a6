"""A transformer bay of a substation as a simulated RTU of IEC 60870-5-104, for the demo plant.

* Breaker and isolator are double points with double commands, selected before they are operated; on their way they
  are in the intermediate position. With either of them open there is no current. The isolator has an interlock: it
  moves only while the breaker is open, else its command is refused.
* The tap changer is moved by regulating step commands and changes the voltage; it takes two seconds.
* Measurements are reported when they have changed enough; energies are counters of the meter, a second station
  (common address) behind the same link.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from pydatacoll.testing.iec104_points import Iec104Point, State
from pydatacoll.testing.iec104_rtu import Iec104Rtu

Payload = dict[str, Any]

DEVICE, CONTROL, METER = "bay1", "bay1.control", "bay1.meter"
CONTROL_STATION, METER_STATION = 1, 2
BREAKER, ISOLATOR, TAP, LOCAL, GAS, FAN_SET = 1001, 1002, 1010, 1020, 1021, 3001
VOLTAGE, CURRENT, ACTIVE, REACTIVE, OIL = 4001, 4002, 4005, 4006, 4010
IMPORT, EXPORT = 5001, 5002
OPEN, CLOSED = 1, 2
MIDDLE = 10
"""Tap position of the nominal voltage."""

_TICK = 0.5
_NOMINAL = 20.0
_POWER_FACTOR = 0.96


def _item(item_id: str, name: str, unit: str = "") -> Payload:
    return {"id": item_id, "name": name, "unit": unit}


def _point(term_id: str, item_id: str, address: int, code_type: str, **options: Any) -> Payload:
    return {
        "term_id": term_id, "item_id": item_id, "protocol_code": str(address), "code_type": code_type, **options,
    }  # fmt: skip


BAY_MODEL: dict[str, list[Payload]] = {
    "devices": [
        {
            "id": DEVICE,
            "name": "Transformer bay 1",
            "protocol": "iec104",
            "ip": "127.0.0.1",
            "coll_interval": 300,
            "counter_interval": 30,
            "description": "110/20 kV transformer bay, RTU with two common addresses (simulated)",
        },
    ],
    "terms": [
        {"id": CONTROL, "name": "Bay controller", "device_id": DEVICE, "address": CONTROL_STATION},
        {"id": METER, "name": "Energy meter", "device_id": DEVICE, "address": METER_STATION},
    ],
    "items": [
        _item("switch", "Breaker position (1 = open, 2 = closed)"),
        _item("isolator", "Isolator position (1 = open, 2 = closed)"),
        _item("tap_position", "Tap changer (command: 1 = lower, 2 = higher)"),
        _item("local", "Local control"),
        _item("gas_alarm", "SF6 pressure low"),
        _item("fan_limit", "Oil temperature at which fans start", "°C"),
        _item("u", "Line voltage", "kV"),
        _item("i1", "Current L1", "A"),
        _item("i2", "Current L2", "A"),
        _item("i3", "Current L3", "A"),
        _item("mw", "Active power", "MW"),
        _item("mvar", "Reactive power", "Mvar"),
        _item("oil", "Oil temperature of the transformer", "°C"),
        _item("import", "Active energy, import", "kWh"),
        _item("export", "Active energy, export", "kWh"),
    ],
    "term_items": [
        _point(CONTROL, "switch", BREAKER, "M_DP_TB_1", writable=True, command_mode="select"),
        _point(
            CONTROL, "isolator", ISOLATOR, "M_DP_TB_1", writable=True, command_mode="select", command_address=2002
        ),
        _point(CONTROL, "tap_position", TAP, "M_ST_TB_1", writable=True),
        _point(CONTROL, "local", LOCAL, "M_SP_TB_1"),
        _point(CONTROL, "gas_alarm", GAS, "M_SP_TB_1"),
        _point(CONTROL, "fan_limit", FAN_SET, "M_ME_TF_1", writable=True, down_limit=40, up_limit=90),
        _point(CONTROL, "u", VOLTAGE, "M_ME_TF_1", down_limit=18.0, up_limit=22.0),
        *(_point(CONTROL, f"i{n + 1}", CURRENT + n, "M_ME_TF_1", up_limit=700) for n in range(3)),
        _point(CONTROL, "mw", ACTIVE, "M_ME_TF_1"),
        _point(CONTROL, "mvar", REACTIVE, "M_ME_TF_1"),
        _point(CONTROL, "oil", OIL, "M_ME_TF_1", up_limit=95),
        _point(METER, "import", IMPORT, "M_IT_TB_1"),
        _point(METER, "export", EXPORT, "M_IT_TB_1"),
    ],
}
"""Payloads as the REST API takes them, by kind; the port is filled in by the demo plant."""


def _points(energy: Callable[[], float]) -> list[Iec104Point]:
    measured = (VOLTAGE, CURRENT, CURRENT + 1, CURRENT + 2, ACTIVE, REACTIVE, OIL)
    return [
        Iec104Point(address=BREAKER, type="M_DP_NA_1", value=CLOSED, command=True, select=True, operate=0.2),
        Iec104Point(
            address=ISOLATOR, type="M_DP_NA_1", value=CLOSED, command=True, command_address=2002, select=True,
            operate=1.0,
        ),
        Iec104Point(address=TAP, type="M_ST_NA_1", value=MIDDLE, command=True, operate=2.0, low=1, high=19),
        Iec104Point(address=LOCAL, type="M_SP_NA_1", value=False),
        Iec104Point(address=GAS, type="M_SP_NA_1", value=False),
        Iec104Point(address=FAN_SET, type="M_ME_NC_1", value=65.0, command=True, low=40, high=90),
        *(Iec104Point(address=address, type="M_ME_NC_1") for address in measured),
        Iec104Point(
            common=METER_STATION, address=IMPORT, type="M_IT_NA_1", group=1, moves=lambda _: int(energy())
        ),
        Iec104Point(common=METER_STATION, address=EXPORT, type="M_IT_NA_1", group=2, value=1250),
    ]  # fmt: skip


class _Measurement(NamedTuple):
    """A point that moves, and by how much it must before that is worth an event."""

    address: int
    value: Callable[[float], float]
    threshold: float


def _wave(time: float, period: float, phase: float = 0.0) -> float:
    return math.sin(2 * math.pi * (time / period + phase))


class Bay:
    """The bay on a free loopback port.

    :ivar rtu: the RTU; its values may be looked at and changed.
    """

    def __init__(self) -> None:
        self._energy = 734_210.0
        self._oil = 52.0
        self._before = 0.0
        self.rtu = Iec104Rtu(_points(lambda: self._energy), announce=True, buffer=1000)
        self.rtu.operator.permits = self._permits
        self._timer: asyncio.TimerHandle | None = None
        self._moving = [
            _Measurement(VOLTAGE, self.voltage, 0.02),
            *(_Measurement(CURRENT + n, self._phase(n), 2.0) for n in range(3)),
            _Measurement(ACTIVE, self.power, 0.05),
            _Measurement(REACTIVE, lambda time: self.power(time) * math.tan(math.acos(_POWER_FACTOR)), 0.05),
            _Measurement(OIL, lambda _: self._oil, 0.1),
            _Measurement(GAS, lambda time: _wave(time, 600) > 0.995, 0.5),
        ]

    async def start(self) -> None:
        """Listen, and let values move."""
        for each in self._moving:
            self.rtu.put(CONTROL_STATION, each.address, each.value(0.0))
        await self.rtu.start()
        self._tick()

    async def stop(self) -> None:
        """Stop; may be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self.rtu.stop()

    def payloads(self) -> dict[str, list[Payload]]:
        """The model with the actual port."""
        devices = [{**device, "port": self.rtu.port} for device in BAY_MODEL["devices"]]
        return {**BAY_MODEL, "devices": devices}

    def energised(self) -> bool:
        """Whether breaker and isolator are closed, so that current can flow."""
        return all(self.rtu.value(CONTROL_STATION, address) == CLOSED for address in (BREAKER, ISOLATOR))

    def voltage(self, time: float) -> float:
        """kV, at so many seconds since the start."""
        tap = 1 + (self.rtu.value(CONTROL_STATION, TAP) - MIDDLE) * 0.0125
        return _NOMINAL * tap * (1 + 0.004 * _wave(time, 97) + 0.002 * _wave(time, 13))

    def current(self, time: float, phase: int) -> float:
        """A."""
        if not self.energised():
            return 0.0
        return 420 + 90 * _wave(time, 300) + 15 * _wave(time, 41, phase * 0.2) + 4 * _wave(time, 7, phase * 0.4)

    def power(self, time: float) -> float:
        """MW."""
        mean = sum(self.current(time, phase) for phase in range(3)) / 3
        return math.sqrt(3) * self.voltage(time) * mean / 1000 * _POWER_FACTOR

    def _phase(self, phase: int) -> Callable[[float], float]:
        return lambda time: self.current(time, phase)

    def _permits(self, state: State, _: bool | int | float) -> bool:
        """The interlock."""
        return state.point.address != ISOLATOR or self.rtu.value(CONTROL_STATION, BREAKER) == OPEN

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)
        now = self.rtu.elapsed()
        seconds, self._before = now - self._before, now
        power = self.power(now)
        self._energy += power * 1000 * seconds / 3600
        fans = self._oil > self.rtu.value(CONTROL_STATION, FAN_SET)
        settled = 35 + power * 1.6 - (12 if fans else 0)
        self._oil += (settled - self._oil) * min(1.0, seconds / 120)
        for each in self._moving:
            value = each.value(now)
            if abs(value - self.rtu.value(CONTROL_STATION, each.address)) > each.threshold or (
                not value and self.rtu.value(CONTROL_STATION, each.address)
            ):
                self.rtu.set(CONTROL_STATION, each.address, value)
