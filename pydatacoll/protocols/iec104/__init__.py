"""IEC 60870-5-104.

==============  =====================================================================
module          concept
==============  =====================================================================
``errors``      who broke the protocol
``parameters``  k, w and t0 to t3, checked
``apci``        frames <-> octets
``link``        numbering, window, timers, start and stop of one connection, sans-IO
``events``      what the link tells its owner
``send_queue``  data units that wait for k
``types``       every type identification: name, direction, layout, matching command
``elements``    information elements <-> octets, in monitor direction
``control``     the same of commands, parameters and the system
``times``       time tags <-> octets, epoch seconds
``asdu``        whole data units <-> octets
``columns``     data units in monitor direction -> columns of values, fast
==============  =====================================================================
"""
