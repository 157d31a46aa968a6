"""Values as they come from devices, on the page of a device."""

from __future__ import annotations

import re

from playwright.async_api import expect


async def test_a_value_changed_in_the_device_appears(rig, plc, browser):
    plc.holding()[0] = 230
    api = await rig.api()
    await api.client.ready()
    await api.client.add("feeder", port=plc.port, points={"ua": "hr:0"})
    await api.client.send("PATCH", "/api/v1/items/ua", {"name": "Voltage", "unit": "V"})
    page = await browser.open(f"{api.client.url}/#/device/feeder")
    row = page.get_by_role("row").filter(has_text="Voltage")
    await expect(row).to_contain_text(re.compile(r"230\s*V"))
    plc.holding()[0] = 231
    await expect(row).to_contain_text(re.compile(r"231\s*V"))
