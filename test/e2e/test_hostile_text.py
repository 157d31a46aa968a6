"""Texts that are scripts where a page is careless, in every field that takes a text: they are shown, never run.

The content security policy is switched off here: nothing may depend on it alone.
"""

from __future__ import annotations

import hashlib

from playwright.async_api import expect

from test.e2e.browser import DESK, PHONE
from test.e2e.plant import UNAUTHORIZED, alarms, sign_in
from test.system.rig import eventually

POINT = "evil:evilt:ua"
IMAGE = "<img src=x onerror=pwned=1>"
SCRIPT = "javascript:window.pwned=1"
CORPUS = "".join(
    [
        SCRIPT,
        "//'\"><svg onload=window.pwned=1>",
        "</textarea></title></script><script>window.pwned=1</script>",
        IMAGE,
        "<a href=javascript:window.pwned=1>x</a>",
        "{{constructor.constructor('window.pwned=1')()}}${window.pwned=1}",
        "&lt;script&gt;window.pwned=1&lt;/script&gt;\u202egnp\u202c\u2028",
        "<iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
        "--><!--<b onmouseover=window.pwned=1>",
    ]
)
"""One text with all of them: the first one works in an address, the others where markup is expected."""
PLACES = {
    "": True,
    "device/evil": True,
    "device/evil?tab=frames": True,
    "device/evil?tab=details": True,
    "device/calc": True,
    f"trend?items={POINT},evil:evilt:label&live=60&limits={POINT}": True,
    "alarms": True,
    "alarms/history": True,
    "model": True,
    "model/device/evil": True,
    "model/term/evilt": True,
    "model/item/ua": True,
    "model/term_item/evilt/ua": True,
    "model/formula/f": True,
    "model/new/device": True,
    "model/bulk": True,
    "model/import": False,
    "log": True,
    "log/audit": True,
    "api": False,
}
"""Place -> whether the text is shown there."""
MADE = "img, iframe, object, embed, [onerror], [onload], [onmouseover], a[href^='javascript:' i], main script"
"""Elements that only a text taken for markup can have made."""


WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
        .map((one) => one.outerHTML.slice(0, 200))"""
"""What makes a page scroll sideways."""


OPEN = """() => document.querySelectorAll("main details:not([open]) > summary")
    .forEach((one) => one.checkVisibility() && one.click())"""
"""Unfolds all there is at this moment, of a page that changes by itself."""


async def clean(page, place):
    """Nothing has run, and nothing was made of a text."""
    assert await page.evaluate("() => typeof window.pwned") == "undefined", place
    made = await page.evaluate("(made) => [...document.querySelectorAll(made)].map((one) => one.outerHTML)", MADE)
    assert made == [], place


async def fits(page, place):
    """The page does not scroll sideways, once it has the form for its width."""
    wide = []

    async def narrow():
        wide[:] = await page.evaluate(WIDE)
        return not wide

    await eventually(narrow, lambda: f"{place} is too wide: {wide}")


async def plant(client, plc):
    """The text in every field that takes one, as a note and a reason, and as a value that the device sends."""
    send = client.send
    await client.ready()
    await client.add("evil", port=plc.port, points={"ua": "hr:0", "label": "hr:100"}, frame_log=50)
    for register in range(20):
        plc.holding()[100 + register] = int.from_bytes(IMAGE.ljust(40).encode()[2 * register : 2 * register + 2])
    label = {"protocol_code": "hr:100", "code_type": "string", "length": 40}
    await send("PATCH", "/api/v1/terms/evilt/items/label", label)
    texts = {"name": CORPUS, "identify": CORPUS}
    await send("PATCH", "/api/v1/devices/evil", {**texts, "description": CORPUS})
    await send("PATCH", "/api/v1/terms/evilt", {**texts, "protocol": CORPUS})
    item = {"name": CORPUS, "unit": IMAGE, "description": CORPUS, "view_code": CORPUS, "func_type": CORPUS}
    await send("PATCH", "/api/v1/items/ua", item)
    point = {"up_limit": 250, "warn_msg": CORPUS, "alarm_priority": "critical"}
    await send("PATCH", "/api/v1/terms/evilt/items/ua", point)
    await send("POST", "/api/v1/devices", {"id": "calc", "name": CORPUS, "protocol": "formula"})
    await send("POST", "/api/v1/terms", {"id": "calct", "name": CORPUS, "device_id": "calc"})
    await send("POST", "/api/v1/items", {"id": "sum", "name": CORPUS})
    await send("POST", "/api/v1/terms/calct/items", {"item_id": "sum"})
    formula = {"formula": "p1 + 1", "p1": POINT}
    target = {"device_id": "calc", "term_id": "calct", "item_id": "sum"}
    await send("POST", "/api/v1/formulas", {"id": "f", **target, **formula})
    await client.shows(IMAGE, "label", "evil")
    plc.holding()[0] = 260
    await alarms(client, "active_unacknowledged")
    alarm = (await client.get("/api/v2/alarms"))[0]["id"]
    await send("POST", f"/api/v2/alarms/{alarm}/ack", {"note": CORPUS})
    control = {"device_id": "evil", "term_id": "evilt", "item_id": "ua", "value": 260, "reason": CORPUS}
    await send("POST", "/api/v1/device_ctrl", control)


async def test_hostile_texts_are_shown_and_never_run(rig, plc, browser):
    browser.excused += [UNAUTHORIZED]
    config = rig.folder / "pydatacoll.toml"
    digest = hashlib.sha256(b"admin").hexdigest()
    config.write_text(f"[[auth.tokens]]\nname = '{IMAGE}'\nhash = '{digest}'\nscope = 'admin'\n")
    api = await rig.api("--plugins", "checker,db_saver,formula", "--config", str(config))
    client = rig.client(api.client.url, "admin")
    await plant(client, plc)
    page = await browser.open(client.url, bypass_csp=True)
    await sign_in(page, "admin")
    for place, shows in PLACES.items():
        await page.evaluate("(place) => { location.hash = place; }", f"#/{place}")
        await expect(page.locator("main").get_by_role("heading").first).to_be_visible()
        await expect(page.get_by_text("Loading …")).to_have_count(0)
        if shows:
            await expect(page.locator("main")).to_contain_text(IMAGE)
        await page.evaluate(OPEN)
        await clean(page, place)
        await page.set_viewport_size(PHONE)
        await fits(page, place)
        await page.set_viewport_size(DESK)
    await page.get_by_role("button", name="Settings").click()
    await expect(page.get_by_text(f"Signed in as {IMAGE} (admin)")).to_be_visible()
    await clean(page, "settings")


async def test_hostile_texts_in_dialogs_and_messages(rig, plc, browser):
    browser.excused += [r"status of 422"]
    api = await rig.api("--plugins", "checker,formula")
    client = api.client
    await plant(client, plc)
    page = await browser.open(f"{client.url}/#/device/evil", bypass_csp=True)
    shown = page.locator("main")
    await expect(page.get_by_role("heading", level=1)).to_have_text(CORPUS)
    row = page.get_by_role("row").filter(has_text="evilt:ua")
    await expect(row).to_contain_text(CORPUS.replace("\u2028", " "))
    await expect(page.get_by_role("row").filter(has_text="evilt:label")).to_contain_text(IMAGE)
    await row.get_by_role("button", name="Control").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("New value").fill(IMAGE)
    await clean(page, "a wrong value")
    await dialog.get_by_label("New value").fill("261")
    await dialog.get_by_label("Reason").fill(CORPUS)
    await dialog.get_by_role("button", name="Continue").click()
    await dialog.get_by_role("button", name="Execute").click()
    await expect(dialog).to_contain_text("The device confirmed 261")
    await expect(dialog).to_contain_text(IMAGE)
    await clean(page, "control")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await page.keyboard.press("/")
    await expect(page.get_by_role("combobox", name="device, point or page")).to_be_focused()
    await page.keyboard.type("<img")
    await expect(page.get_by_role("option").first).to_contain_text(IMAGE)
    await clean(page, "search")
    await page.keyboard.press("Escape")
    for address in (f"device/{IMAGE}", f"trend?items={IMAGE}&from={IMAGE}", IMAGE, f"model/{IMAGE}/{IMAGE}"):
        await page.evaluate("(place) => { location.hash = encodeURI(place); }", f"#/{address}")
        await expect(page.get_by_text("Loading …")).to_have_count(0)
        await clean(page, address)
    await page.evaluate("() => { location.hash = '#/model/formula/f'; }")
    await page.get_by_role("textbox", name="Formula formula").fill(IMAGE)
    await expect(shown).to_contain_text("line 1, column 9")
    await clean(page, "a formula that is none")
    await page.get_by_role("button", name="Discard changes").click()
    await page.evaluate("() => { location.hash = '#/trend'; }")
    await page.get_by_role("button", name="Add items").click()
    await expect(page.get_by_role("dialog")).to_contain_text(IMAGE)
    await clean(page, "the choice of points")
    await page.keyboard.press("Escape")
    await page.evaluate("() => { location.hash = '#/model/import'; }")
    quoted = CORPUS.replace('"', '""')
    text = f'device_id,term_id,item_id,item_name,{IMAGE}\r\n"{quoted}",t,i,"{quoted}","{quoted}"\r\n'
    await page.get_by_label("File", exact=True).set_input_files(
        {"name": f"{IMAGE}.csv", "mimeType": "text/csv", "buffer": text.encode()}
    )
    await expect(shown).to_contain_text(IMAGE)
    await clean(page, "columns of a file")
    await page.get_by_role("button", name="Next").click()
    await expect(page.get_by_role("status").filter(has_text="error")).to_be_visible()
    await clean(page, "rows of a file")
