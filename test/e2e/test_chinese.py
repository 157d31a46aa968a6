"""The pages in Chinese: what comes from the API's schemas and refusals is Chinese, too."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from test.e2e.plant import feeder

CHINESE = re.compile(r"[\u4e00-\u9fff]")
FORMS = ["device/feeder", "term/feedert", "term_item/feedert/ua", "item/ua", "new/device", "new/formula"]


@pytest.mark.parametrize("form", FORMS)
async def test_labels_and_help_of_forms_are_chinese(rig, plc, browser, form):
    api = await rig.api()
    await feeder(api.client, plc)
    page = await browser.open(f"{api.client.url}/#/model/{form}", locale="zh-CN")
    await expect(page.locator("form .field .label").first).to_be_visible()
    labels = await page.locator("form .field .label").all_text_contents()
    help_texts = await page.locator("form .field .help").all_text_contents()
    assert len(labels) >= 3
    assert help_texts
    assert [text for text in help_texts if not CHINESE.search(text)] == []
    assert [text for text in labels if not CHINESE.search(text) and not text.startswith("TLS")] == []


async def test_a_refusal_stands_in_chinese_at_its_field(rig, plc, browser):
    browser.excused += [r"status of 422"]
    api = await rig.api()
    await feeder(api.client, plc, up_limit=253)
    page = await browser.open(f"{api.client.url}/#/model/term_item/feedert/ua", locale="zh-CN")
    await page.get_by_label("下限 down_limit").fill("300")
    await page.get_by_role("button", name="保存").click()
    await expect(page.get_by_role("alert").filter(has_text="不得高于 up_limit（253）")).to_be_visible()
