"""Alarms in a browser: raised, seen from everywhere, acknowledged."""

from __future__ import annotations

from playwright.async_api import expect

from test.e2e.plant import UNAUTHORIZED, alarms, feeder, sign_in, tokens

HIGH = {"up_limit": 250, "warn_msg": "Voltage too high", "alarm_priority": "critical"}


async def test_an_alarm_is_raised_seen_and_acknowledged(rig, plc, browser):
    api = await rig.api("--plugins", "checker")
    await feeder(api.client, plc, **HIGH)
    page = await browser.open(f"{api.client.url}/#/log")
    banner = page.locator(".alarm-banner")
    await expect(banner).to_have_text("No alarms")
    plc.holding()[0] = 260
    await expect(banner).to_contain_text("1 unacknowledged")
    await expect(banner).to_contain_text("critical")
    await expect(banner).to_contain_text("Voltage too high")
    await banner.click()
    row = page.get_by_role("row").filter(has_text="Voltage too high")
    await expect(row).to_contain_text("active, unacknowledged")
    await expect(row).to_contain_text("260")
    await row.get_by_role("button", name="Acknowledge").click()
    await expect(row).to_contain_text("active, acknowledged")
    await expect(banner).to_have_text("1 active")
    await alarms(api.client, "active_acknowledged")
    plc.holding()[0] = 230
    await expect(page.get_by_text("No alarms. Nothing needs attention.")).to_be_visible()
    await expect(banner).to_have_text("No alarms")


async def test_acknowledging_several_with_a_note(rig, plc, browser):
    plc.holding()[1] = 5
    api = await rig.api("--plugins", "checker")
    await feeder(api.client, plc, **HIGH)
    await api.client.add("pump", port=plc.port, points={"flow": "hr:1"})
    await api.client.send(
        "PATCH", "/api/v1/terms/pumpt/items/flow", {"down_limit": 10, "warn_msg": "No flow", "alarm_delay": 0}
    )
    plc.holding()[0] = 260
    await alarms(api.client, "active_unacknowledged", "active_unacknowledged")
    page = await browser.open(f"{api.client.url}/#/alarms")
    await page.get_by_role("button", name="Acknowledge all shown (2)").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Note").fill("crew is on the way")
    await dialog.get_by_role("button", name="Acknowledge", exact=True).click()
    await expect(dialog).to_have_count(0)
    rows = page.get_by_role("row").filter(has_text="crew is on the way")
    await expect(rows).to_have_count(2)
    await alarms(api.client, "active_acknowledged", "active_acknowledged")
    found = await api.client.get("/api/v2/alarms")
    assert {row["note"] for row in found} == {"crew is on the way"}
    await page.get_by_role("link", name="History").first.click()
    await expect(page.get_by_role("row").filter(has_text="crew is on the way").first).to_be_visible()


async def test_an_alarm_is_found_and_acknowledged_with_the_keyboard_alone(rig, plc, browser):
    api = await rig.api("--plugins", "checker")
    await feeder(api.client, plc, **HIGH)
    plc.holding()[0] = 260
    await alarms(api.client, "active_unacknowledged")
    page = await browser.open(api.client.url)
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    await page.keyboard.press("/")
    await expect(page.get_by_role("combobox")).to_be_focused()
    await page.keyboard.type("alarms")
    await expect(page.get_by_role("option").first).to_contain_text("Alarms")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("row").filter(has_text="Voltage too high")).to_be_visible()
    button = page.get_by_role("row").filter(has_text="Voltage too high").get_by_role("button", name="Acknowledge")
    for _ in range(60):
        await page.keyboard.press("Tab")
        if await button.evaluate("(button) => document.activeElement === button"):
            break
    await expect(button).to_be_focused()
    await page.keyboard.press("Enter")
    await alarms(api.client, "active_acknowledged")
    await expect(page.locator(".alarm-banner")).to_have_text("1 active")


async def test_who_may_only_read_is_not_offered_to_acknowledge(rig, plc, browser):
    browser.excused += [UNAUTHORIZED]
    config = tokens(rig.folder, reader={"scope": "read"}, admin={"scope": "admin"})
    api = await rig.api("--plugins", "checker", "--config", str(config))
    client = rig.client(api.client.url, "admin")
    await feeder(client, plc, **HIGH)
    plc.holding()[0] = 260
    await alarms(client, "active_unacknowledged")
    page = await browser.open(f"{api.client.url}/#/alarms")
    await sign_in(page, "reader")
    row = page.get_by_role("row").filter(has_text="Voltage too high")
    await expect(row).to_be_visible()
    await expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)
    await expect(page.get_by_role("button", name="Shelve")).to_have_count(0)
    await expect(page.get_by_text("Your token may look, not handle alarms.")).to_be_visible()
