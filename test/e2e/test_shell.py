"""The frame around the pages: lost connections, signing in, search, language, time zone, phones."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import expect

from test.e2e.browser import PHONE
from test.e2e.plant import LOST, UNAUTHORIZED, feeder, sign_in, tokens
from test.system.rig import eventually

PAGES = ["", "device/feeder", "trend?items=feeder:feedert:ua", "alarms", "model", "log", "api"]


async def test_a_lost_connection_is_said_within_three_seconds_and_comes_back_by_itself(rig, plc, browser, port):
    browser.excused += LOST
    api = await rig.api("--port", port)
    await feeder(api.client, plc)
    page = await browser.open(f"{api.client.url}/#/device/feeder")
    row = page.get_by_role("row").filter(has_text="Voltage")
    await expect(row).to_contain_text("230")
    bar = page.get_by_text("Connection lost, values are frozen")
    await expect(bar).to_have_count(0)
    await api.kill()
    lost = time.monotonic()
    await expect(bar).to_be_visible()
    said = time.monotonic() - lost
    plc.holding()[0] = 231
    again = await rig.api("--port", port)
    back = time.monotonic()
    await expect(bar).to_have_count(0)
    await expect(row).to_contain_text("231")
    print(f"said after {said:.2f} s, back {time.monotonic() - back:.2f} s after the server")
    assert again.client.url == api.client.url


async def test_a_silent_server_is_told_from_a_living_one(rig, plc, browser):
    browser.excused += LOST
    api = await rig.api()
    await feeder(api.client, plc)
    page = await browser.open(f"{api.client.url}/#/device/feeder")
    await expect(page.get_by_role("row").filter(has_text="Voltage")).to_contain_text("230")
    api.pause()
    try:
        await expect(page.get_by_text("Connection lost, values are frozen")).to_be_visible()
    finally:
        api.resume()
    await expect(page.get_by_text("Connection lost, values are frozen")).to_have_count(0)


async def test_signing_in_shows_what_the_scope_allows(rig, plc, browser):
    browser.excused += [UNAUTHORIZED]
    config = tokens(rig.folder, reader={"scope": "read"}, admin={"scope": "admin"})
    api = await rig.api("--config", str(config))
    page = await browser.open(f"{api.client.url}/#/model")
    field = page.get_by_label("Access token")
    await field.fill("wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("not valid")
    await field.fill("reader")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Model")).to_be_visible()
    await expect(page.get_by_role("link", name="New device")).to_have_count(0)
    await page.get_by_role("button", name="Settings").click()
    await expect(page.get_by_text("reader (read)")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await field.fill("admin")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("link", name="New device")).to_be_visible()
    other = await page.context.new_page()  # another tab of the same browser
    browser.watch(other, api.client.url)
    await other.goto(api.client.url)
    await expect(other.get_by_label("Access token")).to_be_visible()


async def test_a_token_that_expires_in_mid_session_is_asked_for_again(rig, plc, browser):
    browser.excused += [UNAUTHORIZED]
    expires = datetime.now(UTC) + timedelta(seconds=40)  # time enough to start, and to sign in
    brief = {"scope": "operate", "expires": expires.isoformat()}
    config = tokens(rig.folder, brief=brief, admin={"scope": "admin"})
    api = await rig.api("--config", str(config))
    await feeder(rig.client(api.client.url, "admin"), plc, writable=True)
    page = await browser.open(f"{api.client.url}/#/device/feeder")
    field = page.get_by_label("Access token")
    await sign_in(page, "brief")
    await page.get_by_role("button", name="Control: Voltage").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await expect(field).to_be_visible(timeout=90_000)
    await expect(page.get_by_role("heading", name="feeder")).to_have_count(0)
    await expect(page.get_by_role("dialog")).to_have_count(0)  # nothing is in the way of signing in
    await expect(page.get_by_role("button", name="Search")).to_have_count(0)
    await page.evaluate("window.known = 'what the first one saw'")
    await sign_in(page, "admin")
    await expect(page.get_by_role("button", name="Control: Voltage")).to_be_visible()
    assert await page.evaluate("window.known") is None  # it begins anew: this may be somebody else


async def test_search_by_keyboard_opens_a_device(rig, plc, browser):
    api = await rig.api()
    await feeder(api.client, plc)
    page = await browser.open(api.client.url)
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    await page.keyboard.press("/")
    await expect(page.get_by_role("combobox")).to_be_focused()
    await page.keyboard.type("feed")
    await expect(page.get_by_role("option").first).to_contain_text("feeder")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="feeder")).to_be_visible()
    assert page.url.endswith("#/device/feeder")


async def test_the_keyboard_skips_the_navigation(rig, browser):
    api = await rig.api()
    page = await browser.open(f"{api.client.url}/#/model")
    await expect(page.get_by_role("link", name="New device")).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("main").locator("a, button, input").first).to_be_focused()
    assert page.url.endswith("#/model")


async def test_the_chosen_result_of_a_search_is_in_sight(rig, browser):
    api = await rig.api()
    page = await browser.open(api.client.url, viewport={"width": 800, "height": 320})
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    await page.keyboard.press("/")
    last = page.get_by_role("option").last
    await expect(last).not_to_be_in_viewport()
    for _ in range(await page.get_by_role("option").count()):
        await page.keyboard.press("ArrowDown")
    await expect(last).to_have_attribute("aria-selected", "true")
    await expect(last).to_be_in_viewport(ratio=0.9)


async def test_language_time_zone_and_theme_are_kept(rig, plc, browser):
    api = await rig.api()
    await feeder(api.client, plc)
    page = await browser.open(api.client.url, timezone_id="Asia/Shanghai")
    await page.get_by_role("button", name="Settings").click()
    await page.get_by_label("Language").select_option("zh")
    await expect(page.get_by_role("heading", name="总览")).to_be_visible()
    await page.get_by_label("主题").select_option("dark")
    await page.get_by_label("时间").select_option("utc")
    await page.reload()
    await expect(page.get_by_role("heading", name="总览")).to_be_visible()
    await expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.goto(f"{api.client.url}/#/log")
    await expect(page.locator("main time").first).to_be_visible()
    shown = await page.locator("main time").first.inner_text()
    hours = re.search(r"(\d\d):\d\d:\d\d", shown)
    assert hours is not None
    assert int(hours[1]) in {datetime.now(UTC).hour, (datetime.now(UTC) - timedelta(hours=1)).hour}


@pytest.mark.parametrize("name", PAGES)
async def test_a_phone_needs_no_sideways_scrolling(rig, plc, browser, name):
    api = await rig.api("--plugins", "checker,db_saver,formula")
    await feeder(api.client, plc)
    page = await browser.open(f"{api.client.url}/#/{name}", viewport=PHONE, has_touch=True, is_mobile=True)
    await expect(page.locator("main h1").first).to_be_visible()

    await page.wait_for_load_state("networkidle")

    async def fits():
        return await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]

    await eventually(fits, "the page does not scroll sideways")


async def test_a_phone_shows_the_whole_name_of_a_point(rig, plc, browser):
    names = {"ua": "Oil temperature of the transformer", "ub": "Oil temperature at which fans start"}
    api = await rig.api()
    await api.client.ready()
    await api.client.add("feeder", port=plc.port, points={"ua": "hr:0", "ub": "hr:1"})
    for item, name in names.items():
        await api.client.send("PATCH", f"/api/v1/items/{item}", {"name": name})
    page = await browser.open(f"{api.client.url}/#/device/feeder", viewport=PHONE, has_touch=True, is_mobile=True)
    for path in ("device/feeder", "model/bulk"):
        await page.goto(f"{api.client.url}/#/{path}")
        for name in names.values():
            cell = page.get_by_role("cell", name=name, exact=True)
            await expect(cell).to_be_visible()
            assert await cell.evaluate("e => e.scrollHeight <= e.clientHeight && e.scrollWidth <= e.clientWidth")


async def test_nothing_outside_the_pages_is_served(rig):
    api = await rig.api()
    for path in ("/assets/../../settings.py", "/assets/%2e%2e/%2e%2e/settings.py", "/assets//etc/passwd"):
        answer = await api.client.request("GET", path)
        assert answer.status == 404, (path, answer)
