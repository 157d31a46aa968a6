"""Bringing in a list of points through the model page."""

from __future__ import annotations

import re

from playwright.async_api import expect

HEADER = (
    "device_id,device_name,protocol,ip,port,device_poll_interval,term_id,term_name,"
    "item_id,item_name,unit,protocol_code,coefficient"
)


def table(port: int) -> bytes:
    parents = f"feeder,Feeder,modbus_tcp,127.0.0.1,{port},0.05,main,Main"
    rows = [
        HEADER,
        f"{parents},ua,Voltage,V,hr:0,0.1",
        f"{parents},ia,Current,A,100,0.01",  # of which of the four tables of a device?
        f"{parents},p,Power,kW,hr:2,1",
    ]
    return "\r\n".join(rows).encode()


async def test_a_table_with_one_bad_row_shows_it_and_is_imported_when_it_is_mended(rig, plc, browser):
    plc.holding()[0] = 2305
    api = await rig.api()
    await api.client.ready()
    page = await browser.open(f"{api.client.url}/#/model")
    await page.get_by_role("link", name="Import").click()
    await page.get_by_label("File", exact=True).set_input_files(
        {"name": "points.csv", "mimeType": "text/csv", "buffer": table(plc.port)}
    )
    await expect(page.get_by_text("3 rows.")).to_be_visible()
    await page.get_by_role("button", name="Next").click()
    await expect(page.get_by_role("status").filter(has_text="1 error")).to_be_visible()
    apply = page.get_by_role("button", name="Import", exact=True)
    await expect(apply).to_be_disabled()
    assert await api.client.get("/api/v1/devices") == []
    complaint = page.get_by_role("listitem").filter(has_text="row 3, protocol_code")
    await expect(complaint).to_contain_text("hr:100")  # the remedy, in the server's own words
    await complaint.get_by_role("button").click()
    cell = page.get_by_role("textbox", name="row 3, protocol_code")
    await expect(cell).to_be_focused()
    await expect(cell).to_have_attribute("aria-invalid", "true")
    await cell.fill("hr:1")
    await expect(page.get_by_text("No errors.")).to_be_visible()
    await expect(page.get_by_role("region", name="What would change")).to_contain_text("feeder")
    await apply.click()
    await expect(page.get_by_text("Imported.")).to_be_visible()
    assert await api.client.get("/api/v1/terms/main/items") == ["ia", "p", "ua"]
    await page.goto(f"{api.client.url}/#/device/feeder")
    await expect(page.get_by_role("row").filter(has_text="Voltage")).to_contain_text(re.compile(r"230\.5\s*V"))
