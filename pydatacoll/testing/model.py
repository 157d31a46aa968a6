"""Small drivers and payloads for tests of whatever uses the model: only what the model asks of a driver."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta

from pydatacoll.model import Device, Term, TermItem
from pydatacoll.model.validation import Schemas
from pydatacoll.sdk import DeviceDriver, Point, Result, WriteRequest


class WireDevice(Device, frozen=True, kw_only=True):
    timeout: Annotated[float, Meta(gt=0)] = 1.0
    byte_order: Literal["big", "little"] = "big"


class WireItem(TermItem, frozen=True, kw_only=True):
    bit: Annotated[int, Meta(ge=0, le=15)] | None = None
    codes: tuple[int, ...] = ()


class WireAddress(NamedTuple):
    unit: int
    code: str

    def __str__(self) -> str:
        return f"{self.code} of unit {self.unit}"


class Plain(DeviceDriver):
    """Addresses are the protocol codes. Formulas may have their results here."""

    name = "plain"
    virtual = True

    async def connect(self) -> None: ...
    async def close(self) -> None: ...
    async def read(self, points: Sequence[Point]) -> Sequence[Result]:
        return []

    async def write(self, requests: Sequence[WriteRequest]) -> Sequence[Result]:
        return []


class Wire(Plain):
    """Has fields of its own, addresses by unit, and refuses code 13."""

    name = "wire"
    device_type = WireDevice
    term_item_type = WireItem

    @classmethod
    def check(cls, device: Device, term: Term, item: TermItem) -> list[tuple[str, str]]:
        return [("protocol_code", "13 is not a register")] if item.protocol_code == "13" else []

    @classmethod
    def address(cls, device: Device, term: Term, item: TermItem) -> Hashable | None:
        return WireAddress(term.address or 1, item.protocol_code) if item.protocol_code is not None else None


def schemas() -> Schemas:
    return Schemas({"plain": Plain, "wire": Wire})


Payload = dict[str, Any]


def device(key: str = "d", **more: Any) -> Payload:
    return {"id": key, "name": key, "protocol": "wire", **more}


def term(key: str = "t", device_id: str = "d", **more: Any) -> Payload:
    return {"id": key, "name": key, "device_id": device_id, **more}


def item(key: str = "i", **more: Any) -> Payload:
    return {"id": key, "name": key, **more}


def term_item(term_id: str = "t", item_id: str = "i", **more: Any) -> Payload:
    return {"term_id": term_id, "item_id": item_id, **more}


def formula(key: str = "f", target: str = "d:t:i", **more: Any) -> Payload:
    device_id, term_id, item_id = target.split(":")
    return {"id": key, "formula": "p1", "device_id": device_id, "term_id": term_id, "item_id": item_id, **more}
