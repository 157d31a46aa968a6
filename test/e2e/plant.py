"""A small plant of real processes and simulated devices, as end-to-end tests want it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from playwright.async_api import Page

from pydatacoll.testing.modbus_server import ModbusServer
from test.system.rig import Client, eventually

LOST = [r"ERR_CONNECTION_REFUSED", r"WebSocket connection", r"ERR_CONNECTION_RESET", r"ERR_EMPTY_RESPONSE"]
"""What a browser says while there is no server."""
UNAUTHORIZED = r"status of 401"


def tokens(folder: Path, **scopes: dict[str, Any]) -> Path:
    """A settings file with tokens; each token is its own name: ``tokens(folder, reader={"scope": "read"})``."""
    lines = []
    for name, fields in scopes.items():
        lines += ["[[auth.tokens]]", f'name = "{name}"', f'hash = "{hashlib.sha256(name.encode()).hexdigest()}"']
        lines += [f"{key} = {value!r}".replace("'", '"') for key, value in fields.items()]
    path = folder / "pydatacoll.toml"
    path.write_text("\n".join(lines))
    return path


async def feeder(client: Client, plc: ModbusServer, **point: Any) -> None:
    """A device ``feeder`` whose point ``feeder:feedert:ua``, named Voltage, reads 230 V; ``point`` adds fields."""
    plc.holding()[0] = 230
    await client.ready()
    await client.add("feeder", port=plc.port, points={"ua": "hr:0"})
    await client.send("PATCH", "/api/v1/items/ua", {"name": "Voltage", "unit": "V"})
    if point:
        await client.send("PATCH", "/api/v1/terms/feedert/items/ua", point)


async def alarms(client: Client, *states: str) -> None:
    """Wait until the alarms there are have these states."""

    async def there() -> bool:
        return sorted(row["state"] for row in await client.get("/api/v2/alarms")) == sorted(states)

    await eventually(there, f"alarms are {states}")


async def sign_in(page: Page, token: str) -> None:
    await page.get_by_label("Access token").fill(token)
    await page.get_by_role("button", name="Sign in").click()
