"""Values as they come from devices, on the page of a device."""

from __future__ import annotations

import re

from playwright.async_api import expect

from test.e2e.plant import feeder

LOST = re.compile("connecting|waiting to reconnect")
"""What stands for the link of a device that does not answer."""


async def test_a_value_changed_in_the_device_appears(rig, plc, browser):
    api = await rig.api()
    await feeder(api.client, plc)
    page = await browser.open(f"{api.client.url}/#/device/feeder")
    row = page.get_by_role("row").filter(has_text="Voltage")
    await expect(row).to_contain_text(re.compile(r"230\s*V"))
    await expect(row).to_contain_text("good")
    plc.holding()[0] = 231
    await expect(row).to_contain_text(re.compile(r"231\s*V"))


async def test_a_device_that_dies_is_told_from_one_that_lives_and_comes_back(rig, plc, browser):
    api = await rig.api()
    await feeder(api.client, plc)
    page = await browser.open(f"{api.client.url}/#/device/feeder")
    row = page.get_by_role("row").filter(has_text="Voltage")
    link = page.get_by_role("definition").first
    overview = await browser.open(api.client.url)
    tile = overview.locator("main").get_by_role("link").filter(has_text="feeder").first
    await expect(row).to_contain_text(re.compile(r"230\s*V"))
    await expect(link).to_contain_text("connected")
    await expect(tile).not_to_contain_text(LOST)
    await plc.stop()
    await expect(row).to_contain_text("communication lost")
    await expect(row).to_contain_text(re.compile(r"◌ 230\s*V"))  # still the last known value, marked as old
    await expect(link).to_contain_text(LOST)
    await expect(page.get_by_text("Last error:")).to_be_visible()
    await expect(tile).to_contain_text(LOST)
    plc.holding()[0] = 229
    await plc.start()
    await expect(row).to_contain_text(re.compile(r"229\s*V"))
    await expect(row).to_contain_text("good")
    await expect(link).to_contain_text("connected")
    await expect(tile).not_to_contain_text(LOST)


async def test_only_the_abnormal_points_are_shown_when_wanted(rig, plc, browser):
    plc.holding().holes.add(5)
    api = await rig.api()
    await api.client.ready()
    await api.client.add("feeder", port=plc.port, points={"fine": "hr:0", "broken": "hr:5"})
    page = await browser.open(f"{api.client.url}/#/device/feeder")
    table = page.get_by_role("table", name="Points of feeder")
    await expect(table.get_by_role("row").filter(has_text="fine")).to_contain_text("good")
    broken = table.get_by_role("row").filter(has_text="broken")
    await expect(broken).to_contain_text("invalid")
    await page.get_by_label("only abnormal").check()
    await expect(table.get_by_role("row").filter(has_text="fine")).to_have_count(0)
    await expect(broken).to_be_visible()
    await expect(page.get_by_text("1 of 2")).to_be_visible()
