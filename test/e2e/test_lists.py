"""Lists that are searched: what is found, that nothing is, and the way back."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from test.e2e.plant import feeder


async def test_the_tree_of_the_model_says_when_nothing_is_found(rig, plc, browser):
    api = await rig.api()
    await feeder(api.client, plc)
    page = await browser.open(f"{api.client.url}/#/model")
    row = page.get_by_role("treeitem").filter(has_text="feeder")
    await expect(row).to_have_count(1)
    search = page.get_by_label("Search the model")
    await search.fill("no such thing")
    await expect(page.get_by_text("Nothing matches the search.")).to_be_visible()
    await expect(page.get_by_role("treeitem")).to_have_count(0)
    await search.fill("feeder")
    await expect(row.first).to_be_visible()
    await expect(page.get_by_text("Nothing matches the search.")).to_have_count(0)


@pytest.mark.parametrize(("tab", "name"), [("", "Events"), ("audit", "Audit")])
async def test_both_lists_of_the_log_can_be_searched(rig, plc, browser, tab, name):
    api = await rig.api()
    await feeder(api.client, plc)
    page = await browser.open(f"{api.client.url}/#/log/{tab}")
    entries = page.get_by_role("list", name=name).get_by_role("listitem")
    await expect(entries.first).to_be_visible()
    text = page.get_by_label("Text", exact=True)
    await text.fill("no such thing")
    await expect(entries).to_have_count(0)
    await expect(page.get_by_text("No entry fits these filters.")).to_be_visible()
    await page.get_by_role("button", name="Clear filters").click()
    await expect(entries.first).to_be_visible()
    await text.fill("feeder")
    await expect(page.get_by_role("status").filter(has_text="loaded entries fit the text")).to_be_visible()
    await expect(entries.first).to_be_visible()
