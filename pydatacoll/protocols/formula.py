"""The virtual protocol ``formula``: a device whose term items are calculated from others, not read."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from pydatacoll.sdk import Device, DeviceDriver, DeviceRefused, Point, Result, Term, TermItem, WriteRequest


class FormulaDriver(DeviceDriver):
    """Has no link and no addresses; its values come from the formula plugin."""

    name = "formula"
    description = "Virtual device: its values are calculated by formulas"
    virtual = True

    @classmethod
    def check(cls, device: Device, term: Term, item: TermItem) -> list[tuple[str, str]]:
        return [("writable", "a calculated value cannot be written")] if item.writable else []

    @classmethod
    def address(cls, device: Device, term: Term, item: TermItem) -> Hashable | None:
        return None

    @classmethod
    def interval(cls, device: Device, term: Term, item: TermItem) -> float | None:
        return None

    async def connect(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def read(self, points: Sequence[Point]) -> list[Result]:
        return [DeviceRefused("a calculated value cannot be read from a device") for _ in points]

    async def write(self, requests: Sequence[WriteRequest]) -> list[Result]:
        return [DeviceRefused("a calculated value cannot be written") for _ in requests]
