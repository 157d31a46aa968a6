"""Pages as axe-core judges them: nothing serious, in light and in dark colours, at a desk and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from test.e2e.browser import DESK, PHONE
from test.e2e.plant import alarms, feeder

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
TREND = "trend?items=feeder:feedert:ua&live=60"
WATCHING = {
    "": "Overview",
    "device/feeder": "feeder",
    "device/feeder?tab=frames": "feeder",
    "device/feeder?tab=details": "feeder",
    TREND: "Trend",
    "alarms": "Alarms",
    "alarms/history": "Alarms",
    "log": "Log",
    "log/audit": "Log",
}
CHANGING = {
    "model": "Model",
    "model/device/feeder": "Model",
    "model/term_item/feedert/ua": "Model",
    "model/new/device": "Model",
    "model/import": "Import",
    "model/bulk": "Edit many",
    "api": "API",
}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def violations(page, place):
    """What axe-core calls serious or critical: place, rule, element, and why. Dark colours are looked at, too."""
    bad = []
    for colours, rules in (("light", RULES), ("dark", ["color-contrast"])):
        await page.emulate_media(color_scheme=colours)
        found = await page.evaluate("(rules) => axe.run(document, { runOnly: rules })", rules)
        assert found["passes"], "axe-core has looked at the page"
        bad += [
            f"{place}, {colours}: {one['id']} ({one['impact']}): {node['html'][:160]}: {node['failureSummary']}"
            for one in found["violations"]
            if one["impact"] in {"serious", "critical"}
            for node in one["nodes"]
        ]
    return bad


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
async def page(request, rig, plc, browser):
    """Of a plant with an alarm and a device that does not answer, with axe-core in it."""
    assert AXE.is_file(), "axe-core is not installed: make test, or npm ci in web/"
    api = await rig.api("--plugins", "checker,db_saver")
    await feeder(api.client, plc, up_limit=250, warn_msg="Voltage too high")
    await api.client.add("away", port=1, points={"flow": "hr:1"})  # nobody listens there
    plc.holding()[0] = 260
    await alarms(api.client, "active_unacknowledged")
    made = await browser.open(
        api.client.url,
        viewport=request.param,
        has_touch=request.param is PHONE,
        reduced_motion="reduce",
        bypass_csp=True,  # for the sake of axe only
    )
    await made.evaluate(AXE.read_text(encoding="utf-8"))
    return made


@pytest.mark.parametrize("pages", [WATCHING, CHANGING], ids=["watching", "changing"])
async def test_no_page_has_a_serious_violation(page, pages):
    bad = []
    for address, heading in pages.items():
        await page.evaluate("(address) => { location.hash = address; }", f"#/{address}")
        await expect(page.locator("main").get_by_role("heading", name=heading).first).to_be_visible()
        await page.wait_for_load_state("networkidle")
        await expect(page.get_by_text("Loading …")).to_have_count(0)
        bad += await violations(page, address)
    assert not bad, "\n".join(bad)


async def test_no_dialog_has_a_serious_violation(page):
    await page.evaluate("() => { location.hash = '#/device/feeder'; }")
    await page.get_by_role("button", name="Control: Voltage").click()
    await page.get_by_label("New value (V)").fill("240")
    bad = await violations(page, "control")
    await page.get_by_role("button", name="Continue").click()
    bad += await violations(page, "confirmation")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.keyboard.press("/")
    await expect(page.get_by_role("combobox", name="device, point or page")).to_be_focused()
    await page.keyboard.type("feed")
    await expect(page.get_by_role("option").first).to_be_visible()
    bad += await violations(page, "search")
    assert not bad, "\n".join(bad)
