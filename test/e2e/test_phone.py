"""What a person does on a phone: see what is wrong, take care of it, change a setpoint."""

from __future__ import annotations

import re

from playwright.async_api import expect

from test.e2e.browser import PHONE
from test.e2e.plant import alarms, feeder
from test.system.rig import eventually


async def fits(page):
    """The page does not scroll sideways, once it has the form for its width."""

    async def narrow():
        return await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]

    await eventually(narrow, "the page fits")


async def test_an_alarm_is_acknowledged_and_a_setpoint_changed_on_a_phone(rig, plc, browser):
    api = await rig.api("--plugins", "checker")
    await feeder(api.client, plc, up_limit=250, warn_msg="Voltage too high", alarm_priority="critical")
    await api.client.add("quiet", port=plc.port, points={"flow": "hr:1"})
    plc.holding()[0] = 260
    await alarms(api.client, "active_unacknowledged")
    page = await browser.open(api.client.url, viewport=PHONE, has_touch=True, is_mobile=True)
    tiles = page.locator("main").get_by_role("link").filter(has_text=re.compile("feeder|quiet"))
    await expect(tiles.first).to_contain_text("feeder")  # the worst comes first
    await page.locator(".alarm-banner").tap()
    row = page.get_by_role("row").filter(has_text="Voltage too high")
    await row.get_by_role("button", name="Acknowledge").tap()
    await alarms(api.client, "active_acknowledged")
    await expect(row).to_contain_text("active, acknowledged")
    await fits(page)
    await row.get_by_role("link", name="Voltage").tap()
    await page.get_by_role("button", name="Control: Voltage").tap()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("New value (V)").fill("231")
    await dialog.get_by_role("button", name="Continue").tap()
    await dialog.get_by_role("button", name="Execute").tap()
    await expect(dialog).to_contain_text(re.compile(r"The device confirmed 231\s*V"))
    await fits(page)
    assert plc.holding()[0] == 231
    await dialog.get_by_role("button", name="Close").last.tap()
    await expect(page.locator(".alarm-banner")).to_have_text("No alarms")


async def test_what_is_touched_is_large_enough(rig, plc, browser):
    api = await rig.api("--plugins", "checker")
    await feeder(api.client, plc, up_limit=250, warn_msg="Voltage too high")
    plc.holding()[0] = 260
    await alarms(api.client, "active_unacknowledged")
    page = await browser.open(f"{api.client.url}/#/alarms", viewport=PHONE, has_touch=True, is_mobile=True)
    for place, name in (("alarms", "Acknowledge"), ("device/feeder", "Control: Voltage"), ("model", "Export")):
        await page.evaluate("(place) => { location.hash = place; }", f"#/{place}")
        button = page.get_by_role("button", name=name, exact=True)
        await expect(button).to_be_visible()
        small = await page.evaluate(
            """() => [...document.querySelectorAll("button, select, input[type=text], input[type=search]")]
                .filter((one) => !one.matches(".skip:not(:focus)"))  // only the keyboard brings it out
                .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 43.5)
                .map((one) => `${one.outerHTML.slice(0, 120)} ${one.getBoundingClientRect().height}`)"""
        )
        assert small == [], place
