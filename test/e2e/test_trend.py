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
    numbers = [int((await value.inner_text()).removesuffix("V"))]
    for _ in range(3):
        await step(page)
        numbers.append(int((await value.inner_text()).removesuffix("V")))
    assert numbers == [numbers[0] - n for n in range(4)], "single samples, none missing"
    assert abs(numbers[0] - COUNT / 2) < COUNT / 100
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


async def test_what_was_missed_while_the_server_was_away_is_filled_in(rig, plc, browser):
    browser.excused += LOST
    store = rig.redis()
    await store.start()
    rig.manager(store.url)
    api = await rig.api("--redis", store.url, "--no-manager")
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
    async with page.expect_response(re.compile("/datas")):
        await rig.api("--redis", store.url, "--no-manager", "--port", api.client.url.rpartition(":")[2])
    await expect(page.get_by_text("Connection lost, values are frozen")).to_have_count(0)
    await expect(value).to_have_text("240V")
    await expect(page.get_by_text("Reading …")).to_have_count(0)
    await page.get_by_role("img", name="Trend of Voltage").focus()
    seen = [await value.inner_text()]
    for _ in range(200):  # a value was polled several times
        await step(page)
        if await value.inner_text() != seen[-1]:
            seen.append(await value.inner_text())
        if seen[-1] == "230V":
            break
    assert seen == ["240V", "232V", "231V", "230V"]
