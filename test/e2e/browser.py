"""Debian's Chromium, driven by Playwright, and what it must not do: errors, warnings, requests to other hosts."""

from __future__ import annotations

import re
import shutil
from typing import Any, Self
from urllib.parse import urlsplit

from playwright.async_api import Browser as Chromium
from playwright.async_api import ConsoleMessage, Page, Playwright, Request, WebSocket, async_playwright, expect

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
EXPECT = 30_000
"""Milliseconds that a page is given to show something, on a machine that is busy."""

expect.set_options(timeout=EXPECT)


class Browser:
    """``async with Browser() as browser``.

    :ivar problems: what pages did wrong.
    :ivar excused: patterns of problems that a test brings about on purpose.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.excused: list[str] = []
        self._playwright: Playwright | None = None
        self._chromium: Chromium | None = None

    async def __aenter__(self) -> Self:
        executable = shutil.which("chromium")
        assert executable, "chromium is not installed: sh test/install_servers.sh"
        self._playwright = await async_playwright().start()
        self._chromium = await self._playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._chromium is not None
        assert self._playwright is not None
        await self._chromium.close()
        await self._playwright.stop()
        if kind is None:
            bad = [one for one in self.problems if not any(re.search(pattern, one) for pattern in self.excused)]
            assert not bad, bad

    async def open(self, url: str, *, viewport: dict[str, int] | None = None, **context: Any) -> Page:
        """A page in a context of its own, as for another person; options as of Playwright's ``new_context``."""
        assert self._chromium is not None
        options: dict[str, Any] = {"locale": "en-GB", "timezone_id": "UTC", "color_scheme": "light", **context}
        made = await self._chromium.new_context(viewport=viewport or DESK, **options)
        made.set_default_timeout(EXPECT)
        page = await made.new_page()
        self.watch(page, url)
        await page.goto(url)
        return page

    def watch(self, page: Page, url: str) -> None:
        """Note what the page does wrong from now on."""
        host = urlsplit(url).netloc

        def said(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"}:
                self.problems.append(f"console {message.type}: {message.text}")

        def asked(asks: Request | WebSocket) -> None:
            found = urlsplit(asks.url)
            if found.scheme not in {"data", "blob"} and found.netloc != host:
                self.problems.append(f"asked another host: {asks.url}")

        def failed(request: Request) -> None:
            if request.failure != "net::ERR_ABORTED":  # a page aborts what it does not want to know any more
                self.problems.append(f"request failed: {request.url} {request.failure}")

        page.on("console", said)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("request", asked)
        page.on("websocket", asked)
        page.on("requestfailed", failed)
