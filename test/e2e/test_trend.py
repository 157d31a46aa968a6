"""The trend: a long archive that is zoomed into, and what was missed while the connection was lost."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from playwright.async_api import expect

from pydatacoll.archive.config import ArchiveConfig
from pydatacoll.archive.database import Database
from pydatacoll.archive.schema import migrate
from pydatacoll.archive.series import ensure_series
from pydatacoll.archive.values import to_columns, to_micros
from pydatacoll.archive.write import Writer
from pydatacoll.model import PointId
from test.e2e.plant import LOST, feeder

POINT = PointId("feeder", "feedert", "ua")
BEGIN = datetime(2026, 11, 20, 6, tzinfo=UTC).timestamp()
COUNT, STEP = 100_000, 0.1
SECONDS = COUNT * STEP


def moment(seconds):
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


async def fill(folder):
    """Values that count up, ten in a second."""
    folder.mkdir()
    database = Database(ArchiveConfig(), folder)
    try:
        await migrate(database, BEGIN)
        series = (await ensure_series(database, POINT.device_id, [POINT]))[POINT]
        await Writer(database).write(
            [(series, to_micros(BEGIN + n * STEP), *to_columns(n, 0)) for n in range(COUNT)]
        )
    finally:
        await database.close()


async def step(page):
    """Move the cursor of the chart to the sample before; the picture has followed when this returns."""
    await page.keyboard.press("ArrowLeft")
    await page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


async def test_a_hundred_thousand_archived_points_are_zoomed_down_to_single_samples(rig, plc, browser):
    await fill(rig.data_dir)
    api = await rig.api("--plugins", "db_saver")
    await feeder(api.client, plc)
    span = f"from={moment(BEGIN)}&to={moment(BEGIN + SECONDS)}"
    page = await browser.open(f"{api.client.url}/#/trend?items={POINT}&{span}")
    await expect(page.get_by_text(f"{COUNT} samples")).to_be_visible()
    row = page.get_by_role("row").filter(has_text="Voltage")
    await expect(row).to_contain_text(re.compile(r"from \d+ to 99999"))  # the last bucket, with its extremes
    chart = page.get_by_role("img", name="Trend of Voltage")
    plot = chart.locator(".u-over")
    box = await plot.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    await page.mouse.move(box["x"] + box["width"] * 0.4, middle)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.6, middle, steps=5)
    await page.mouse.up()
    seen = page.get_by_text(re.compile(r"^(19|20)\d{3} samples$"))  # a fifth
    await expect(seen).to_be_visible()
    await chart.focus()
    await page.mouse.move(0, 0)
    for _ in range(11):
        await page.keyboard.press("+")
    await expect(page.get_by_text(re.compile(r"^(9|1\d) samples$"))).to_be_visible()  # 2000 s / 2 ** 11
    await step(page)
    value = row.locator(".value").first
    await expect(value).to_have_text(re.compile(r"^\d+V$"))
    number = int((await value.inner_text()).removesuffix("V"))
    assert abs(number - COUNT / 2) < COUNT / 100
    for _ in range(3):  # single samples, none missing
        await step(page)
        number -= 1
        await expect(value).to_have_text(f"{number}V")
    shared = page.url
    other = await browser.open(shared)
    await expect(other.get_by_text(re.compile(r"^(9|1\d) samples$"))).to_be_visible()
    await page.get_by_role("button", name="Zoom out").click()
    await expect(page.get_by_text(re.compile(r"^(19|2\d) samples$"))).to_be_visible()


async def test_without_an_archive_it_shows_recent_values_and_says_once_how_to_have_one(rig, plc, browser):
    """The browser would log every request that fails, and such a line fails the test."""
    api = await rig.api()
    await feeder(api.client, plc)
    page = await browser.open(f"{api.client.url}/#/trend?items={POINT}&live=300")
    await expect(page.get_by_role("row").filter(has_text="Voltage").locator(".value").first).to_have_text("230V")
    notice = page.get_by_text("This server has no archive")
    await expect(notice).to_have_count(1)
    await expect(notice).to_contain_text("add db_saver to plugins")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    async with page.expect_response(re.compile("/datas")):
        await page.get_by_role("button", name="Earlier").click()
    await expect(notice).to_have_count(1)
    assert not [url for url in asked if "/api/v2/history" in url]
    again = await rig.api("--plugins", "db_saver", data_dir=rig.folder / "archived")
    await feeder(again.client, plc)
    other = await browser.open(f"{again.client.url}/#/trend?items={POINT}&live=300")
    await expect(other.get_by_role("row").filter(has_text="Voltage").locator(".value").first).to_have_text("230V")
    await expect(other.get_by_text("Reading …")).to_have_count(0)
    await expect(other.get_by_text("This server has no archive")).to_have_count(0)


LIGHT, DARK = (31, 95, 153), (125, 183, 236)
"""Of the first line, in either theme."""
NEAR = """(wanted) => {
  const canvas = document.querySelector(".trend-chart canvas");
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < data.length; at += 4)
    if (data[at + 3] > 200 && wanted.every((part, index) => Math.abs(part - data[at + index]) < 16)) return true;
  return false;
}"""


async def test_the_chart_has_the_colours_of_the_theme_and_follows_it(rig, plc, browser):
    api = await rig.api("--plugins", "db_saver")
    await feeder(api.client, plc)
    page = await browser.open(f"{api.client.url}/#/trend?items={POINT}&live=300", color_scheme="dark")
    await expect(page.get_by_role("row").filter(has_text="Voltage").locator(".value").first).to_have_text("230V")

    async def shows(colour, other):
        await page.wait_for_function(NEAR, arg=colour)
        assert not await page.evaluate(NEAR, other)

    await shows(DARK, LIGHT)
    await page.emulate_media(color_scheme="light")
    await shows(LIGHT, DARK)
    await page.get_by_role("button", name="Settings").click()
    await page.get_by_label("Theme").select_option("dark")
    await shows(DARK, LIGHT)
    ground = "getComputedStyle(document.body).backgroundColor"
    assert await page.evaluate(ground) == "rgb(20, 24, 28)"
    await page.get_by_label("Theme").select_option("auto")
    await shows(LIGHT, DARK)
    assert await page.evaluate(ground) == "rgb(236, 238, 240)"


async def test_what_was_missed_while_the_server_was_away_is_filled_in(rig, plc, browser, port):
    browser.excused += LOST
    store = rig.redis()
    await store.start()
    rig.manager(store.url)
    api = await rig.api("--redis", store.url, "--no-manager", "--port", port)
    await feeder(api.client, plc)
    await api.client.send("PATCH", "/api/v1/devices/feeder", {"poll_interval": 0.25})  # a short list of samples
    page = await browser.open(f"{api.client.url}/#/trend?items={POINT}&live=300")
    row = page.get_by_role("row").filter(has_text="Voltage")
    value = row.locator(".value").first
    await expect(value).to_have_text("230V")
    await api.kill()
    await expect(page.get_by_text("Connection lost, values are frozen")).to_be_visible()
    watcher = await rig.api("--redis", store.url, "--no-manager", data_dir=rig.folder / "watcher")
    for missed in (231, 232, 240):
        plc.holding()[0] = missed
        await watcher.client.shows(missed, "ua", "feeder")
    async with page.expect_response(re.compile("/datas"), timeout=60_000):
        await rig.api("--redis", store.url, "--no-manager", "--port", port)
    await expect(page.get_by_text("Connection lost, values are frozen")).to_have_count(0)
    await expect(value).to_have_text("240V")
    await expect(page.get_by_text("Reading …")).to_have_count(0)
    await page.get_by_role("img", name="Trend of Voltage").focus()
    seen = {await value.inner_text(): None}  # in the order in which they are first seen
    for _ in range(1000):  # a value was polled several times
        await step(page)
        seen[await value.inner_text()] = None
        if "230V" in seen:
            break
    assert list(seen) == ["240V", "232V", "231V", "230V"]
