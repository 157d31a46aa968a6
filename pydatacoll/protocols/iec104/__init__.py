"""IEC 60870-5-104.

============  =====================================================================
module        concept
============  =====================================================================
``errors``    who broke the protocol
``types``     every type identification: name, direction, layout, matching command
``elements``  information elements <-> octets
``times``     time tags <-> octets, epoch seconds
``asdu``      whole data units <-> octets
``columns``   data units in monitor direction -> columns of values, fast
============  =====================================================================
"""
