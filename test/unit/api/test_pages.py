"""The built web pages over HTTP: what a browser gets, keeps and may do; what nobody gets."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from pydatacoll.api.app import create_app
from pydatacoll.api.pages import takes_gzip
from pydatacoll.settings import AuthSettings, Settings, TokenSettings
from pydatacoll.web.site import NOT_BUILT, Site, load
from test.api_client import Api, serve
from test.fakes_api import FakeBackend

INDEX = b'<!doctype html><script type="module" src="./assets/index-B1gHashX.js"></script>'
SCRIPT = b"console.log('pages');" * 100
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FOREVER = "public, max-age=31536000, immutable"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a build leaves behind, beside something that is nobody's business."""
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_bytes(INDEX)
    (static / "index.html.gz").write_bytes(gzip.compress(INDEX))
    (static / "assets/index-B1gHashX.js").write_bytes(SCRIPT)
    (static / "assets/index-B1gHashX.js.gz").write_bytes(gzip.compress(SCRIPT))
    (static / "assets/plain.css").write_bytes(b"a{}")
    (static / "favicon.svg").write_bytes(b"<svg/>")
    (static / "manifest.webmanifest").write_bytes(b"{}")
    (static / ".build-hash").write_text("0")
    secret = tmp_path / "secret.txt"
    secret.write_text("nobody's business")
    (static / "link.txt").symlink_to(secret)
    (static / "assets/link.txt").symlink_to(secret)
    (static / "linked").symlink_to(tmp_path, target_is_directory=True)
    return static


@pytest.fixture
def site(folder: Path) -> Site:
    return load(folder)


@pytest.fixture
async def pages(backend: FakeBackend, site: Site) -> AsyncIterator[Api]:
    async with serve(create_app(backend.services, site)) as running:
        yield running


@pytest.fixture
async def guarded(backend: FakeBackend, site: Site) -> AsyncIterator[Api]:
    """A server that has an access token configured."""
    token = TokenSettings(name="admin", hash=hashlib.sha256(b"token").hexdigest(), scope="admin")
    backend.settings = msgspec.structs.replace(Settings(), auth=AuthSettings(tokens=[token]))
    async with serve(create_app(backend.services, site)) as running:
        yield running


async def raw(api: Api, target: str, *headers: str) -> bytes:
    """The answer as it is on the wire: no client may tidy up the path or unpack the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    lines = [f"GET {target} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers, "", ""]
    writer.write("\r\n".join(lines).encode("latin-1"))
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_browser_gets_the_page_and_a_program_the_list(pages: Api) -> None:
    page = await pages("GET", "/", headers=BROWSER, status=200)
    assert page.raw == INDEX
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    listed = await pages("GET", "/", status=200)
    assert listed.raw.startswith(b"PyDataColl is running, available API:\n")
    for answer in (page, listed):
        assert "Accept" in answer.headers["Vary"].split(", ")
    shown = await pages("GET", "/?list=true", headers=BROWSER, status=200)
    assert '<a href="/api/v1/devices">' in shown.raw.decode()


async def test_without_built_pages_a_browser_gets_the_list(api: Api, tmp_path: Path) -> None:
    assert load(tmp_path / "absent") is NOT_BUILT
    assert load(tmp_path) is NOT_BUILT
    page = await api("GET", "/", headers=BROWSER, status=200)
    assert '<a href="/api/v1/devices">' in page.raw.decode()
    await api("GET", "/assets/index-B1gHashX.js", status=404)


@pytest.mark.parametrize("path", ["/", "/?list=true", "/docs"])
async def test_a_page_may_talk_to_this_server_only(pages: Api, path: str) -> None:
    headers = (await pages("GET", path, headers=BROWSER, status=200)).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy.pop("img-src") == "'self' data:"
    assert {name for name, value in policy.items() if value == "'none'"} == {
        "default-src",
        "base-uri",
        "form-action",
        "frame-ancestors",
    }
    assert set(policy.values()) == {"'none'", "'self'"}
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]


@pytest.mark.parametrize(
    ("path", "content_type", "caching"),
    [
        ("/assets/index-B1gHashX.js", "text/javascript; charset=utf-8", FOREVER),
        ("/assets/plain.css", "text/css; charset=utf-8", "no-cache"),
        ("/favicon.svg", "image/svg+xml", "no-cache"),
        ("/manifest.webmanifest", "application/manifest+json", "no-cache"),
    ],
)
async def test_only_names_with_a_hash_are_kept_for_good(
    pages: Api, path: str, content_type: str, caching: str
) -> None:
    answer = await pages("GET", path, status=200)
    assert answer.headers["Content-Type"] == content_type
    assert answer.headers["Cache-Control"] == caching
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_page_is_asked_for_again_and_sent_once(pages: Api) -> None:
    page = await pages("GET", "/", headers=BROWSER, status=200)
    assert page.headers["Cache-Control"] == "no-cache"
    tag = page.headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await pages("GET", "/", headers={**BROWSER, "If-None-Match": known}, status=304)
        assert again.raw == b""
        assert again.headers["ETag"] == tag
        assert again.headers["Cache-Control"] == "no-cache"
        assert "Content-Encoding" not in again.headers
    await pages("GET", "/", headers={**BROWSER, "If-None-Match": '"other"'}, status=200)


async def test_who_takes_gzip_gets_it(pages: Api) -> None:
    packed = await raw(pages, "/assets/index-B1gHashX.js", "Accept-Encoding: br, gzip;q=0.5")
    head, _, body = packed.partition(b"\r\n\r\n")
    assert b"Content-Encoding: gzip" in head
    assert b"Vary: Accept-Encoding" in head
    assert gzip.decompress(body) == SCRIPT
    plain = await raw(pages, "/assets/index-B1gHashX.js", "Accept-Encoding: gzip;q=0")
    head_plain, _, body = plain.partition(b"\r\n\r\n")
    assert b"Content-Encoding" not in head_plain
    assert b"Vary: Accept-Encoding" in head_plain
    assert body == SCRIPT
    tags = [next(line for line in one.split(b"\r\n") if line.startswith(b"ETag")) for one in (head, head_plain)]
    assert tags[0] != tags[1]


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("deflate, br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip; q=0.001", True),
        ("*", True),
        ("gzip;q=0, *", False),
        ("identity;q=0", False),
        (";,;q=", False),
    ],
)
def test_accept_encoding(header: str, taken: bool) -> None:
    assert takes_gzip(header) is taken


async def test_head_says_what_get_would(pages: Api) -> None:
    for path in ("/", "/assets/index-B1gHashX.js", "/favicon.svg"):
        head = await pages("HEAD", path, headers=BROWSER, status=200)
        get = await pages("GET", path, headers=BROWSER, status=200)
        assert head.raw == b""
        for name in ("Content-Type", "ETag", "Cache-Control"):
            assert head.headers[name] == get.headers[name]
    await pages("POST", "/favicon.svg", status=405)


@pytest.mark.parametrize(
    "target",
    [
        "/assets/../index.html.gz",
        "/assets/../../secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/assets/%2e%2e%2f%2e%2e%2fsecret.txt",
        "/assets/..%5c..%5csecret.txt",
        "/assets//etc/passwd",
        "/assets/%2fetc%2fpasswd",
        "/assets/index-B1gHashX.js%00.css",
        "/assets/%00",
        "/assets/",
        "/assets",
        "/assets/.",
        "/assets/link.txt",
        "/link.txt",
        "/linked/secret.txt",
        "/.build-hash",
        "/assets/index-B1gHashX.js.gz",
        "/assets/INDEX-B1gHashX.js",
        "//etc/passwd",
        "/static/index.html",
        "/assets/" + "a" * 4000,
    ],
)
async def test_nothing_but_the_built_files_is_served(pages: Api, target: str) -> None:
    answer = await raw(pages, target)
    assert answer.startswith(b"HTTP/1.1 404 "), answer[:200]
    assert b"application/problem+json" in answer
    assert b"nobody's business" not in answer


async def test_the_files_of_the_pages_are_no_part_of_the_api(pages: Api, api: Api) -> None:
    """Whether pages are built makes no difference to who generates a client."""
    assert pages.conformance.document == api.conformance.document


async def test_the_pages_need_no_token(guarded: Api) -> None:
    await guarded("GET", "/api/v1/devices", status=401)
    for path in ("/", "/assets/index-B1gHashX.js", "/favicon.svg"):
        await guarded("GET", path, headers=BROWSER, status=200)
