"""PyDataColl: a RESTful data-collection service for Modbus TCP and IEC 60870-5-104."""

__version__ = "0.1.0"
