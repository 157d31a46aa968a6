"""The built pages, read into memory once: what is served is one build, and no name of a request becomes a path."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

STATIC: Final = Path(__file__).parent / "static"
"""Where the build puts them; absent in a checkout whose pages were not built."""

INDEX: Final = "index.html"
_PACKED: Final = ".gz"
_NAME: Final = re.compile(r"(?:[A-Za-z0-9_\-][A-Za-z0-9_.\-]*/)*[A-Za-z0-9_\-][A-Za-z0-9_.\-]*\Z")
"""Files that begin with a dot are the build's own."""
_HASHED: Final = re.compile(r"assets/.+-[A-Za-z0-9_\-]{8}\.[a-z0-9]+\Z")
"""The bundler puts a hash of the content into these names."""
_BINARY: Final = "application/octet-stream"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/vnd.microsoft.icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""Not from the system's table, which differs from machine to machine."""


@dataclass(frozen=True, slots=True)
class File:
    """One built file.

    :ivar packed: the same compressed by gzip, where the build found that worth it.
    :ivar tag: entity tag of ``body``, quoted.
    :ivar immutable: whether another content would have another name.
    """

    body: bytes
    packed: bytes | None
    content_type: str
    tag: str
    immutable: bool


Site = Mapping[str, File]
"""Path below the root of the server, without the first slash -> file. Empty when the pages were not built."""

NOT_BUILT: Final[Site] = MappingProxyType({})


def load(folder: Path = STATIC) -> Site:
    """The built pages; links are left out, wherever they lead.

    :raises OSError: when a file cannot be read.
    """
    found: dict[str, bytes] = {}
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            name = path.relative_to(folder).as_posix()
            if _NAME.match(name) and not path.is_symlink():
                found[name] = path.read_bytes()
    if INDEX not in found:
        return NOT_BUILT
    packed = {name.removesuffix(_PACKED): body for name, body in found.items() if name.endswith(_PACKED)}
    return MappingProxyType(
        {
            name: File(
                body=body,
                packed=packed.get(name),
                content_type=_TYPES.get(Path(name).suffix, _BINARY),
                tag=f'"{hashlib.sha256(body).hexdigest()[:24]}"',
                immutable=_HASHED.match(name) is not None,
            )
            for name, body in found.items()
            if not name.endswith(_PACKED)
        }
    )
