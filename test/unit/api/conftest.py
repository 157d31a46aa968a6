"""The REST API over fakes, with the real drivers' schemas."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pydatacoll.api.app import create_app
from pydatacoll.expression import formula_problem
from pydatacoll.model.validation import Schemas
from pydatacoll.protocols.formula import FormulaDriver
from pydatacoll.protocols.iec104 import Iec104Driver
from pydatacoll.protocols.modbus_tcp import ModbusTcpDriver
from test.api_client import Api, serve
from test.fakes_api import FakeBackend

DEVICE = {"id": "feeder1", "name": "Feeder 1", "protocol": "modbus_tcp"}
VIRTUAL = {"id": "sums", "name": "Sums", "protocol": "formula"}
TERM = {"id": "main", "name": "Main meter", "device_id": "feeder1"}
ITEM = {"id": "ua", "name": "A-phase voltage", "unit": "V"}
POINT = {"item_id": "ua", "protocol_code": "hr:100", "writable": True}


@pytest.fixture
def backend() -> FakeBackend:
    """The services, in memory, with an empty model."""
    drivers = (ModbusTcpDriver, Iec104Driver, FormulaDriver)
    return FakeBackend(Schemas({driver.name: driver for driver in drivers}, formula_problem=formula_problem))


@pytest.fixture
async def api(backend: FakeBackend) -> AsyncIterator[Api]:
    """A client of the application."""
    async with serve(create_app(backend.services)) as running:
        yield running


@pytest.fixture
async def plant(api: Api) -> Api:
    """The client, with one device, one term, one item and their point."""
    await api.post("/api/v1/devices", DEVICE)
    await api.post("/api/v1/terms", TERM)
    await api.post("/api/v1/items", ITEM)
    await api.post("/api/v1/terms/main/items", POINT)
    return api
