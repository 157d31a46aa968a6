"""The web pages in Debian's Chromium: how long a change takes to the screen, and what the pages cost.

The browser runs without a GPU on the cores that collect, too: on a desk of its own it has less to share.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Browser, CDPSession, Page, Response, async_playwright

from bench.report import Row, percentile, shares
from bench.rig import Rig
from pydatacoll.testing.modbus_server import ModbusServer
from test.e2e.browser import ARGUMENTS, DESK

CHANGES, OWN_CHANGES = 400, 150
FIRST_VALUE = 20_000
"""Values from here on are changes; the registers begin with their numbers."""
OPENINGS = 9
WARM_UP, SECONDS = 5.0, 20.0
KILOBYTE = 1000

NOTE_CHANGES = r"""
window.changes = {};
new MutationObserver((records) => {
  const now = performance.timeOrigin + performance.now();
  for (const { target } of records) {
    const found = /\b2\d{4}\b/.exec(target.textContent);
    if (found) window.changes[found[0]] ??= now;
  }
}).observe(document, { subtree: true, childList: true, characterData: true });
"""
NOTE_TILES = """
new MutationObserver((_, observer) => {
  if (!document.querySelector("main li a strong")) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => (window.tilesAt = performance.now())));
}).observe(document, { subtree: true, childList: true });
"""
"""When the first frame with a device in it was drawn, counted from the beginning of the navigation."""


def faster(rate: int) -> str:
    """Makes the page ask for batches at another rate than its own 250 ms."""
    return f"""
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (text) {{ send.call(this, text.replace('"rate":250', '"rate":{rate}')); }};
"""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    executable = shutil.which("chromium") or sys.exit("chromium is not installed: sh test/install_servers.sh")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


async def new_page(browser: Browser, *scripts: str) -> Page:
    """In a context of its own, with nothing cached."""
    context = await browser.new_context(viewport=DESK, locale="en-GB")
    for script in scripts:
        await context.add_init_script(script)
    return await context.new_page()


async def visible_registers(page: Page) -> list[int]:
    """Numbers of the registers whose rows are in view, on the page of a device."""
    await page.get_by_role("cell", name="register 0").first.wait_for()
    texts = await page.get_by_role("row").filter(has_text="register").all_inner_texts()
    numbers = [int(text.split("register ")[1].split()[0]) for text in texts]
    return numbers[:12]  # of those that exist the last ones are below the view


# A register changes, and the page shows it


async def latencies(rig: Rig, table: Any, browser: Browser, changes: int, *scripts: str) -> list[float]:
    """Milliseconds from a changed register to the changed document; infinite for a change that never came."""
    page = await new_page(browser, NOTE_CHANGES, *scripts)
    await page.goto(f"{rig.url}/#/device/d0")
    rows = await visible_registers(page)
    await asyncio.sleep(WARM_UP)
    shift = await page.evaluate("Date.now() - performance.timeOrigin - performance.now()")
    changed: dict[int, float] = {}
    for number in range(changes):
        value = FIRST_VALUE + number
        table[rows[number % len(rows)]] = value
        changed[value] = time.time() * 1000
        await asyncio.sleep(random.uniform(0.03, 0.08))  # in no step with batches
    await asyncio.sleep(1)
    seen = await page.evaluate("window.changes")
    await page.context.close()
    return sorted(seen.get(str(value), float("inf")) + shift - at for value, at in changed.items())


async def _to_the_screen(rig: Rig) -> tuple[list[float], list[float], dict[str, float]]:
    async with ModbusServer(history=0) as server, chromium() as browser:
        table = server.holding(1)
        table[0:1000] = list(range(1000))
        await asyncio.to_thread(rig.load, 1, 1000, interval=0, port=server.port)
        rig.start_manager()
        await asyncio.to_thread(rig.wait_collecting, 1)
        window = rig.window()
        found = await latencies(rig, table, browser, CHANGES, faster(100))
        used = window.shares()
        table[0:1000] = list(range(1000))
        return found, await latencies(rig, table, browser, OWN_CHANGES), used


def to_the_screen() -> Row:
    """Register change to the document, 1,000 registers polled without pause."""
    with Rig() as rig:
        rig.start_api()
        found, own, used = asyncio.run(_to_the_screen(rig))
    middle, late = percentile(found, 0.5), percentile(found, 0.99)
    return Row(
        "register change -> browser DOM, batches of 100 ms, p50 / p99",
        f"{middle:.0f} / {late:.0f} ms",
        "<= 80 / 200 ms",
        middle <= 80 and late <= 200,
        "",
        {
            **shares(used),
            "longest": f"{found[-1]:.0f} ms",
            "with the 250 ms of the page": f"{percentile(own, 0.5):.0f} / {percentile(own, 0.99):.0f} ms",
        },
    )


# The first page


@dataclass
class Opening:
    """What opening the overview took.

    :ivar contentful: milliseconds to the first frame with anything in it.
    :ivar tiles: milliseconds to the first frame with a device in it.
    :ivar sizes: path -> bytes as sent, of scripts and styles.
    """

    contentful: float
    tiles: float
    sizes: dict[str, int]


async def opening(browser: Browser, url: str) -> Opening:
    """The overview, opened by a browser that knows nothing of it yet."""
    page = await new_page(browser, NOTE_TILES)
    answers: list[Response] = []

    def answered(answer: Response) -> None:
        answers.append(answer)

    page.on("response", answered)
    await page.goto(url)
    while not await page.evaluate("window.tilesAt"):
        await asyncio.sleep(0.05)
    await page.wait_for_load_state("networkidle")
    sizes = {
        answer.url.removeprefix(url): len(await answer.body())
        if "content-encoding" not in answer.headers
        else int(answer.headers["content-length"])
        for answer in answers
        if answer.request.resource_type in {"script", "stylesheet"}
    }
    contentful = await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    tiles = await page.evaluate("window.tilesAt")
    await page.context.close()
    return Opening(contentful, tiles, sizes)


async def _openings(url: str) -> list[Opening]:
    async with chromium() as browser:
        await opening(browser, url)  # the first page of a browser's life waits for its processes
        return [await opening(browser, url) for _ in range(OPENINGS)]


def first_page() -> list[Row]:
    """The overview of 10 devices with 1,000 points each, opened cold."""
    with Rig() as rig:
        rig.start_simulator()
        rig.start_api()
        rig.load(10, 1000, interval=1)
        rig.start_manager()
        rig.wait_collecting(10)
        time.sleep(WARM_UP)
        window = rig.window()
        openings = asyncio.run(_openings(rig.url))
        used = window.shares()
    tiles = statistics.median(one.tiles for one in openings)
    sizes = openings[0].sizes
    size = sum(sizes.values()) / KILOBYTE
    styles = sum(length for path, length in sizes.items() if path.endswith(".css")) / KILOBYTE
    return [
        Row(
            "first page: JS + CSS, gzipped",
            f"{size:.1f} KB",
            "<= 70 KB",
            size <= 70,
            "another HMI 550 KB, not gzipped",
            {"files": str(len(sizes)), "CSS": f"{styles:.1f} KB"},
        ),
        Row(
            "overview of 10 devices, 10,000 points, opened cold: first frame with a device",
            f"{tiles:.0f} ms",
            "<= 500 ms",
            tiles <= 500,
            "",
            {
                **shares(used),
                "longest": f"{max(one.tiles for one in openings):.0f} ms",
                "first frame with anything": f"{statistics.median(one.contentful for one in openings):.0f} ms",
            },
        ),
    ]


# A table of points


async def metrics(session: CDPSession) -> dict[str, float]:
    """Seconds since the page began, by kind of work of its main thread; ``Timestamp`` is now."""
    answer = await session.send("Performance.getMetrics")
    return {one["name"]: one["value"] for one in answer["metrics"]}


async def main_thread(browser: Browser, rig: Rig, *scripts: str) -> dict[str, float]:
    """Shares of time: ``TaskDuration`` of the main thread, and of it scripts, styles and layout."""
    page = await new_page(browser, *scripts)
    await page.goto(f"{rig.url}/#/device/d0")
    await visible_registers(page)
    await asyncio.sleep(WARM_UP)
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    before = await metrics(session)
    await asyncio.sleep(SECONDS)
    after = await metrics(session)
    await page.context.close()
    elapsed = after["Timestamp"] - before["Timestamp"]
    return {
        name: (after[name] - before[name]) / elapsed
        for name in ("TaskDuration", "ScriptDuration", "RecalcStyleDuration", "LayoutDuration")
    }


async def _table(rig: Rig) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    async with chromium() as browser:
        window = rig.window()
        at_100 = await main_thread(browser, rig, faster(100))
        used = window.shares()
        return at_100, await main_thread(browser, rig), used


def table() -> Row:
    """A device with 1,000 points that change ten times a second each."""
    with Rig() as rig:
        rig.start_simulator()
        rig.start_api()
        rig.load(1, 1000, interval=0.1)
        rig.start_manager()
        rig.wait_collecting(1)
        at_100, own, used = asyncio.run(_table(rig))
    busy = at_100["TaskDuration"]
    return Row(
        "1,000 points at 10 changes/s each, batches of 100 ms: main thread of the page",
        f"{busy:.1%}",
        "<= 20 %",
        busy <= 0.2,
        "",
        {
            **shares(used),
            "of it scripts": f"{at_100['ScriptDuration']:.1%}",
            "styles and layout": f"{at_100['RecalcStyleDuration'] + at_100['LayoutDuration']:.1%}",
            "with the 250 ms of the page": f"{own['TaskDuration']:.1%}",
        },
    )


def pages() -> list[Row]:
    """The web pages: a change to the screen, the first page, a table of points."""
    return [to_the_screen(), *first_page(), table()]
