"""Modbus TCP.

===================  ==============================================================
module               concept
===================  ==============================================================
``config``           options and checks; engineering value -> raw value
``frames``           bytes <-> frames and PDUs, sans-IO
``client``           one connection: queue, pipelining, time-outs (native backend)
``pymodbus_backend`` the same over pymodbus
``planner``          which blocks are read
``lanes``            blocks prepared for repeated reading; what was learnt
``health``           units that do not answer
``reader``           reading, and what to do when it fails
``writes``           which requests a batch of writes becomes
``writer``           carrying them out, read-back
``describe``         frames in plain words
``probe``            one try of a point, in all ways to understand it
``driver``           ties them together
===================  ==============================================================
"""

from __future__ import annotations

from pydatacoll.protocols.modbus_tcp.config import ModbusDevice, ModbusTerm, ModbusTermItem
from pydatacoll.protocols.modbus_tcp.driver import ModbusTcpDriver

__all__ = ["ModbusDevice", "ModbusTcpDriver", "ModbusTerm", "ModbusTermItem"]
