"""IEC 60870-5-104.

The protocol itself, pure:

==================  =====================================================================
module              concept
==================  =====================================================================
``errors``          who broke the protocol
``parameters``      k, w and t0 to t3, checked
``apci``            frames <-> octets
``link``            numbering, window, timers, start and stop of one connection, sans-IO
``events``          what the link tells its owner
``send_queue``      data units that wait for k
``types``           every type identification: name, direction, layout, matching command
``elements``        information elements <-> octets, in monitor direction
``control``         the same of commands, parameters and the system
``times``           time tags <-> octets, epoch seconds
``asdu``            whole data units <-> octets
``columns``         data units in monitor direction -> columns of values, fast
``describe``        frames in plain words
``words``           the words for their fields
==================  =====================================================================

The way to a station:

==================  =====================================================================
``wire``            what carries ASDUs both ways
``opening``         from a device to a wire
``connection``      our own link over a socket
``tls``             IEC 62351-3
``redundancy``      two connections, one of them active
``c104_wire``       the same over lib60870, in a worker process
``c104_pool``       worker processes
``c104_messages``   what goes between us and them
``c104_worker``     such a process
``c104_session``    one station in it
``c104_relay``      what lib60870 and the station say to each other
``c104_calls``      data units -> calls of c104
==================  =====================================================================

The controlling station:

==================  =====================================================================
``config``          options; where a point is and how it is commanded
``targets``         the points by where they are
``checks``          everything about them that needs no device
``values``          engineering value -> raw value -> element of a command
``monitor``         process information -> samples, in the order in which it happened
``stations``        its points, and what their next values are compared with
``recent_events``   events that came lately
``station_clock``   what the clock of a station shows
``doubts``          asking for points of which a late event says something else
``discovered``      addresses that send and have no point
``exchange``        one command, sans-IO
``commands``        commands under way
``verification``    reading back what was written
``waiting``         requests that wait for their answer
``outcomes``        what became of a request, in one word
``requests``        what is answered by one mirrored data unit
``interrogations``  general and counter interrogations
``turns``           how many of them begin at once
``reads``           single points
``clock``           setting clocks
``procedures``      all that a station can be asked
``schedule``        when it is
``probe``           one try of a point
``irregularities``  what a station sends that it should not
``hold_back``       letting a station wait while the store is behind
``driver``          ties them together
==================  =====================================================================
"""

from __future__ import annotations

from pydatacoll.protocols.iec104.config import Iec104Device, Iec104Term, Iec104TermItem
from pydatacoll.protocols.iec104.driver import Iec104Driver

__all__ = ["Iec104Device", "Iec104Driver", "Iec104Term", "Iec104TermItem"]
