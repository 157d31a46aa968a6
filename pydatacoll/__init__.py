"""PyDataColl: a RESTful data-collection service for Modbus TCP."""

__version__ = "0.1.0"
