"""Setting a point from a browser: what reaches the device, and what is not offered, with the reason."""

from __future__ import annotations

import re

from playwright.async_api import expect

from pydatacoll.testing.iec104_rtu import Iec104Fault, Iec104Point, Iec104Rtu
from pydatacoll.testing.modbus_server import Fault
from test.e2e.plant import LOST, UNAUTHORIZED, feeder, sign_in, tokens
from test.system.rig import eventually


async def opened(page):
    """The control dialog of Voltage, from the page of its device."""
    await page.get_by_role("button", name="Control: Voltage").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("heading", name="Set: Voltage")).to_be_visible()
    return dialog


async def test_a_write_that_is_confirmed_reaches_the_register(rig, plc, browser):
    api = await rig.api()
    await feeder(api.client, plc, up_limit=250)
    page = await browser.open(f"{api.client.url}/#/device/feeder")
    dialog = await opened(page)
    await expect(dialog).to_contain_text(re.compile(r"230\s*V"))
    await expect(dialog).to_contain_text("good")
    await expect(dialog).to_contain_text("0 to 65535 V")
    value = dialog.get_by_label("New value (V)")
    await expect(value).to_be_focused()
    await value.fill("65536")
    await expect(dialog).to_contain_text("Too high: the most is 65535.")
    await expect(dialog.get_by_role("button", name="Continue")).to_be_disabled()
    await value.fill("251")
    await expect(dialog).to_contain_text("Beyond the alarm limits")
    await value.fill("240")
    await dialog.get_by_label("Reason").fill("tap changer moved")
    await dialog.get_by_role("button", name="Continue").click()
    confirm = dialog.get_by_role("group", name="Execute this?")
    await expect(confirm).to_contain_text(re.compile(r"from 230\s*V.*to 240\s*V", re.S))
    await page.keyboard.press("Enter")  # the key that went on must not execute
    assert not plc.written
    await confirm.get_by_role("button", name="Back").click()
    await expect(dialog.get_by_label("New value (V)")).to_have_value("240")
    await dialog.get_by_role("button", name="Continue").click()
    await confirm.get_by_role("button", name="Execute").click()
    await expect(dialog).to_contain_text(re.compile(r"The device confirmed 240\s*V"))
    assert plc.holding()[0] == 240
    assert len(plc.written) == 1
    await expect(dialog).to_contain_text("tap changer moved")
    await expect(dialog).to_contain_text("ok")
    await dialog.get_by_role("button", name="Close").last.click()
    await expect(page.get_by_role("row").filter(has_text="Voltage")).to_contain_text(re.compile(r"240\s*V"))
    await page.goto(f"{api.client.url}/#/log/audit")
    entry = page.get_by_role("listitem").filter(has_text="230 → 240").first
    await entry.locator("summary").click()
    await expect(entry).to_contain_text("tap changer moved")


async def test_what_the_device_refuses_is_said(rig, plc, browser):
    browser.excused += [r"status of 502"]
    api = await rig.api()
    await feeder(api.client, plc)
    page = await browser.open(f"{api.client.url}/#/device/feeder")
    dialog = await opened(page)
    await dialog.get_by_label("New value (V)").fill("240")
    await dialog.get_by_role("button", name="Continue").click()
    plc.faults.add(Fault("exception", function=6, code=2))
    await dialog.get_by_role("button", name="Execute").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("The device refused it.")
    await expect(dialog.get_by_role("alert")).to_contain_text("exception 2")
    assert plc.holding()[0] == 230


async def test_what_is_stale_cannot_be_controlled_and_why_is_said(rig, plc, browser):
    browser.excused += LOST
    api = await rig.api()
    await feeder(api.client, plc)
    page = await browser.open(f"{api.client.url}/#/device/feeder")
    dialog = await opened(page)
    value = dialog.get_by_label("New value (V)")
    await value.fill("240")
    await dialog.get_by_role("button", name="Continue").click()
    execute = dialog.get_by_role("button", name="Execute")
    await expect(execute).to_be_enabled()
    await plc.stop()
    await expect(execute).to_be_disabled()
    await expect(dialog).to_contain_text("The device is not connected.")
    await expect(dialog).to_contain_text("The present value is stale")
    await dialog.get_by_role("button", name="Back").click()
    await expect(value).to_be_disabled()
    await plc.start()
    await expect(value).to_be_enabled()
    await api.client.send("PATCH", "/api/v1/devices/feeder", {"enabled": False})
    await expect(dialog).to_contain_text("The device is disabled.")
    await expect(value).to_be_disabled()
    await api.client.send("PATCH", "/api/v1/devices/feeder", {"enabled": True})
    await expect(value).to_be_enabled()
    await api.kill()
    await expect(dialog).to_contain_text("The connection to the server is lost")
    await expect(value).to_be_disabled()
    assert not plc.written


async def test_what_is_read_only_is_not_offered(rig, plc, browser):
    api = await rig.api()
    await feeder(api.client, plc)
    page = await browser.open(f"{api.client.url}/#/device/feeder")
    row = page.get_by_role("row").filter(has_text="Voltage")
    dialog = await opened(page)
    await expect(dialog.get_by_label("New value (V)")).to_be_enabled()
    await api.client.send("PATCH", "/api/v1/terms/feedert/items/ua", {"writable": False})
    await expect(dialog).to_contain_text("The point is read-only: it is not writable in the model.")
    await expect(dialog.get_by_label("New value (V)")).to_have_count(0)
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(row.get_by_role("button", name="Call: Voltage")).to_be_visible()
    await expect(row.get_by_role("button", name="Control: Voltage")).to_have_count(0)


async def test_who_may_only_read_is_offered_no_control_anywhere(rig, plc, browser):
    browser.excused += [UNAUTHORIZED]
    config = tokens(rig.folder, reader={"scope": "read"}, admin={"scope": "admin"})
    api = await rig.api("--plugins", "db_saver", "--config", str(config))
    await feeder(rig.client(api.client.url, "admin"), plc)
    page = await browser.open(f"{api.client.url}/#/device/feeder")
    await sign_in(page, "reader")
    row = page.get_by_role("row").filter(has_text="Voltage")
    await expect(row).to_contain_text(re.compile(r"230\s*V"))
    await expect(row.get_by_role("link", name="Trend: Voltage")).to_be_visible()
    await expect(
        page.get_by_role("button", name=re.compile("Call|Control|Enable|Disable|Interrogate"))
    ).to_have_count(0)
    await page.goto(f"{api.client.url}/#/trend?items=feeder:feedert:ua")
    readout = page.get_by_role("row").filter(has_text="Voltage")
    await expect(readout).to_contain_text(re.compile(r"230\s*V"))
    await expect(readout.get_by_role("button", name="Voltage", exact=True)).to_have_count(0)


LIMIT = Iec104Point(address=1, type="M_ME_NB_1", command=True, select=True)


async def bay(client, rtu, **options):
    """A station with one point that is to be selected."""
    rtu.operator.select_timeout = 60.0
    await client.ready()
    device = {"id": "bay", "name": "bay", "protocol": "iec104", "port": rtu.port, "command_mode": "select"}
    await client.send("POST", "/api/v1/devices", device | options)
    await client.send("POST", "/api/v1/terms", {"id": "t", "name": "t", "device_id": "bay"})
    await client.send("POST", "/api/v1/items", {"id": "v", "name": "Voltage", "unit": "V"})
    point = {"item_id": "v", "protocol_code": "1", "code_type": "M_ME_TE_1", "writable": True}
    await client.send("POST", "/api/v1/terms/t/items", point)


async def selecting(page, value):
    """The control dialog, after Select."""
    await expect(page.get_by_role("row").filter(has_text="Voltage")).to_contain_text("good")
    dialog = await opened(page)
    await dialog.get_by_label("New value (V)").fill(value)
    await expect(dialog.get_by_label("select before operate")).to_be_checked()
    await dialog.get_by_role("button", name="Select …").click()
    return dialog


async def selected(page, value):
    """The control dialog, after the station has confirmed the selection."""
    dialog = await selecting(page, value)
    await expect(dialog).to_contain_text(re.compile(r"execute within \d+ s"))
    await expect(dialog.get_by_role("progressbar")).to_be_visible()
    return dialog


def acts(rtu):
    return [(one.act, one.value, one.accepted) for one in rtu.commands]


async def test_select_before_operate_holds_the_selection_at_the_station(rig, browser):
    api = await rig.api()
    async with Iec104Rtu([LIMIT]) as rtu:
        await bay(api.client, rtu)
        page = await browser.open(f"{api.client.url}/#/device/bay")
        dialog = await selected(page, "7")
        assert acts(rtu) == [("select", 7, True)]
        await dialog.get_by_role("button", name="Execute").click()
        await expect(dialog).to_contain_text(re.compile(r"The device confirmed 7\s*V"))
        await expect(dialog).to_contain_text("confirmed, carried out and terminated")
        assert acts(rtu) == [("select", 7, True), ("execute", 7, True)]
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)
        assert len(rtu.commands) == 2


async def test_a_selection_that_is_given_up_or_left_is_deactivated(rig, browser):
    api = await rig.api()
    async with Iec104Rtu([LIMIT]) as rtu:
        await bay(api.client, rtu)
        page = await browser.open(f"{api.client.url}/#/device/bay")
        dialog = await selected(page, "7")
        await dialog.get_by_role("button", name="Give up").click()
        await expect(dialog.get_by_label("New value (V)")).to_have_value("7")
        await rtu.until(lambda: acts(rtu)[-1] == ("deactivate", 7, True))
        await page.keyboard.press("Escape")
        dialog = await selected(page, "8")
        await page.keyboard.press("Escape")
        await rtu.until(lambda: acts(rtu)[-1] == ("deactivate", 8, True))
        await expect(dialog).to_have_count(0)
        await selected(page, "9")
        await page.reload()
        await rtu.until(lambda: acts(rtu)[-1] == ("deactivate", 9, True))
        assert "execute" not in {one.act for one in rtu.commands}


async def test_a_selection_whose_time_is_over_says_so(rig, browser):
    api = await rig.api()
    async with Iec104Rtu([LIMIT]) as rtu:
        await bay(api.client, rtu, selection_timeout=2)
        page = await browser.open(f"{api.client.url}/#/device/bay")
        dialog = await selecting(page, "7")
        await expect(dialog).to_contain_text("The selection has expired; nothing was executed.")
        await expect(dialog.get_by_label("New value (V)")).to_have_value("7")
        await rtu.until(lambda: acts(rtu)[-1] == ("deactivate", 7, True))
        assert len(rtu.commands) == 2


async def test_a_select_that_the_station_refuses_is_told(rig, browser):
    browser.excused += [r"status of 502"]
    api = await rig.api()
    async with Iec104Rtu([LIMIT]) as rtu:
        rtu.faults.add(Iec104Fault("negative", type=49))
        await bay(api.client, rtu)
        page = await browser.open(f"{api.client.url}/#/device/bay")
        dialog = await selecting(page, "7")
        await expect(dialog).to_contain_text("Not selected, nothing was executed: the station refuses the select")
        await expect(dialog.get_by_label("New value (V)")).to_have_value("7")


async def test_a_read_on_demand_shows_what_the_device_said(rig, plc, browser):
    api = await rig.api()
    plc.holding()[0] = 230
    await api.client.ready()
    await api.client.add("feeder", port=plc.port, points={"ua": "hr:0"}, poll_interval=3600)
    await api.client.shows(230, "ua", "feeder")
    plc.holding()[0] = 235  # not polled for an hour
    page = await browser.open(f"{api.client.url}/#/device/feeder")
    await page.get_by_role("button", name="Call: ua").click()
    await expect(page.get_by_text("ua was read now:")).to_be_visible()
    await expect(page.get_by_role("row").filter(has_text="feedert:ua")).to_contain_text("235")

    async def stored():
        return (await api.client.latest("ua", "feeder"))["value"] == 235

    await eventually(stored)
