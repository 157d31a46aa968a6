"""Pictures of all pages for the documentation: ``python -m test.e2e.screenshots``, or of some: ``... log api``

The demo plant runs for a while; then something happens in it, the same each time: a device is away, an alarm
is taken care of, the breaker is opened. Any error of a page ends it.
"""

from __future__ import annotations

import asyncio
import base64
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import redirect_stdout
from pathlib import Path

from playwright.async_api import Locator, Page, expect

from test.e2e.browser import DESK, PHONE, Browser
from test.system.rig import Client, Rig, eventually

FOLDER = Path(__file__).parents[2] / "docs" / "images" / "pages"
RUN = 48.0
"""Seconds that the plant runs before anything happens: curves of a minute are full."""
AFTER = 12.0
"""Seconds from the last event to the first picture: curves show what it did."""
LOOK = {"device": 12.0, "trend": 4.0}
"""Seconds that a page is open before its picture: sparklines grow while it is."""
FEEDER, PUMPS = "feeder1.relay", "pumps1.drives"
TABLE = """\
device_id,device_name,protocol,ip,port,term_id,term_name,item_id,item_name,unit,protocol_code,code_type,coefficient
gateway1,Meter gateway,modbus_tcp,10.0.0.21,502,gateway1.meter1,Meter 1,ua,,,hr:0,uint32,0.1
gateway1,,,,,gateway1.meter1,,ia,,,hr:6,uint16,0.01
gateway1,,,,,gateway1.meter1,,energy,,,hr:16,uint46,0.001
gateway1,,,,,gateway1.meter2,Meter 2,ua,,,hr:100,uint32,0.1
gateway1,,,,,gateway1.meter2,,ia,,,hr:106,uint16,0.01
gateway1,,,,,gateway1.meter2,,energy,,,hr:116,uint64,0.001
"""
"""Points of two meters; one type is misspelt."""


# What happens in the plant


async def ctrl(client: Client, device: str, term: str, item: str, value: float | bool, reason: str) -> None:
    body = {
        "device_id": device,
        "term_id": term,
        "item_id": item,
        "value": value,
        "verify": True,
        "reason": reason,
    }
    await client.send("POST", "/api/v1/device_ctrl", body)


async def raised(client: Client, alarm: str) -> None:
    async def found() -> bool:
        return any(one["id"] == alarm for one in await client.get("/api/v2/alarms"))

    await eventually(found, f"alarm {alarm}")


async def settled(client: Client) -> None:
    """Until every simulated device has told its values."""

    async def all_good() -> bool:
        rows = await client.get("/api/v2/values")
        return bool(rows) and all(row["value"] is not None for row in rows)

    await client.ready()
    await eventually(all_good, "values of all points", within=30)


async def away(client: Client) -> None:
    """A device that nobody answers for."""
    await client.send(
        "POST",
        "/api/v1/devices",
        {
            "id": "meter1",
            "name": "Energy meter 1",
            "protocol": "modbus_tcp",
            "ip": "127.0.0.1",
            "port": 9,
            "description": "meter of the station's own supply",
        },
    )
    await client.send("POST", "/api/v1/terms", {"id": "meter1.unit", "name": "Meter", "device_id": "meter1"})
    await client.send(
        "POST",
        "/api/v2/term_items",
        [
            {"term_id": "meter1.unit", "item_id": item, "protocol_code": f"ir:{2 * place}"}
            for place, item in enumerate(("ua", "ub", "uc", "energy"))
        ],
    )


async def events(client: Client) -> None:
    """A change of the model, an alarm that somebody takes care of, controls, an alarm that nobody has seen."""
    await away(client)
    await ctrl(client, "pumps1", PUMPS, "speed_set", 1500, "more water for the evening")
    limit = {"up_limit": 4.2, "hysteresis": 0.1, "warn_msg": "discharge pressure"}
    await client.send("PATCH", f"/api/v1/terms/{PUMPS}/items/pressure", limit)
    alarm = f"pumps1:{PUMPS}:pressure:high"
    await raised(client, alarm)
    await client.send("POST", f"/api/v2/alarms/{alarm}/ack", {"note": "valve is being replaced"})
    await ctrl(client, "feeder1", FEEDER, "breaker_cmd", False, "maintenance of the line")
    await raised(client, f"feeder1:{FEEDER}:breaker:rule")


# How each picture comes about


async def control(page: Page, width: int) -> Locator:
    """The dialog over the page of its device: on a desk the confirmation, on a phone the form."""
    await page.get_by_role("button", name="Control: Breaker position").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_text("off (1)", exact=True).click()
    await dialog.get_by_label("Reason").fill("maintenance of the line")
    if width == DESK["width"]:
        await dialog.get_by_role("button", name="Select").click()
    return dialog.get_by_role("button", name="Execute" if width == DESK["width"] else "Select")


async def wizard(page: Page, _: int) -> Locator:
    await page.get_by_role("textbox").fill(TABLE)
    await page.get_by_role("button", name="Use the pasted text").click()
    await page.get_by_role("button", name="Next").click()
    return page.get_by_text("1 error", exact=False)


async def audited(page: Page, _: int) -> Locator:
    return page.locator("main time")


async def operation(page: Page, _: int) -> Locator:
    return page.get_by_role("heading", name="values")


Prepare = Callable[[Page, int], Awaitable[Locator]]
PAGES: dict[str, tuple[str, Prepare]] = {}
"""Name -> address, and what is done there; it gives what must be visible."""


def page_of(name: str, address: str, prepare: Prepare | str) -> None:
    if isinstance(prepare, str):
        text = prepare

        async def shows(page: Page, _: int) -> Locator:
            return page.get_by_text(text)

        PAGES[name] = address, shows
    else:
        PAGES[name] = address, prepare


CURVES = (
    f"items=feeder1:{FEEDER}:ua,feeder1:{FEEDER}:ia,feeder1:{FEEDER}:breaker&live=60&limits=feeder1:{FEEDER}:ua"
)
page_of("trend", f"trend?{CURVES}", "samples")
page_of("overview", "", "feeder 1 is open")
page_of("device", "device/pumps1", "Discharge pressure")
page_of("alarms", "alarms", "feeder 1 is open")
page_of("control", "device/bay1", control)
page_of("model", "model/device/feeder1", "Try the connection")
page_of("import", "model/import", wizard)
page_of("log", "log", audited)
page_of("api", "api", operation)


async def take(page: Page, url: str, name: str, file: Path) -> None:
    address, prepare = PAGES[name]
    await page.goto(f"{url}/#/{address}")
    size = page.viewport_size
    assert size is not None
    await expect((await prepare(page, size["width"])).first).to_be_visible()
    await page.mouse.move(0, size["height"] - 1)  # no marks of a pointer
    await asyncio.sleep(LOOK.get(name, 2.0))
    await page.evaluate("scrollTo(0, 0)")
    sharp = 1.5 if size == PHONE else 1
    clip = {"x": 0, "y": 0, **size, "scale": sharp}
    session = await page.context.new_cdp_session(page)
    shot = await session.send("Page.captureScreenshot", {"format": "webp", "quality": 80, "clip": clip})
    file.write_bytes(base64.b64decode(shot["data"]))
    await session.detach()
    await page.goto("about:blank")  # a dialog does not stay


async def pictures(names: list[str], folder: Path) -> None:
    async with Rig(folder) as rig, Browser() as browser:
        api = await rig.api("--demo")
        await settled(api.client)
        await asyncio.sleep(RUN)
        await events(api.client)
        await asyncio.sleep(AFTER)
        url = api.client.url
        desk = await browser.open(url, viewport=DESK)
        phone = await browser.open(url, viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=1.5)
        dark = await browser.open(url, viewport=DESK, color_scheme="dark")
        for name in names:
            await take(desk, url, name, FOLDER / f"{name}.webp")
            await take(phone, url, name, FOLDER / f"{name}-phone.webp")
        if "overview" in names:
            await take(dark, url, "overview", FOLDER / "overview-dark.webp")


def main() -> None:
    names = sys.argv[1:] or list(PAGES)
    unknown = [name for name in names if name not in PAGES]
    if unknown:
        sys.exit(f"unknown page {unknown[0]!r}; there are: {', '.join(PAGES)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pdc-pictures-") as folder, redirect_stdout(sys.stderr):
        asyncio.run(pictures(names, Path(folder)))
    for file in sorted(FOLDER.iterdir()):
        print(f"{file.stat().st_size / 1000:6.0f} KB  {file.name}")


if __name__ == "__main__":
    main()
