"""Settings as text: what is in force, what a value must be, and the reference of all settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import inspect

from pydatacoll.settings import Settings

MASK = "***"
_SECRET_KEY = re.compile(r"password|passwd|secret|token|hash|api_?key|private_?key|credential", re.IGNORECASE)
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]{0,31}://)(?P<user>[^:/?#@\s]*)(?P<password>:.*)?@")
_SECRET_PARAMETER = re.compile(
    r"(?P<name>[?&;][^=&;#\s]*(?:password|passwd|secret|token|key)[^=&;#\s]*=)[^&;#\s]*", re.IGNORECASE
)
_BEARER = re.compile(r"(?P<kind>\bbearer\s+)[^\s,;\"']+|\bpdc_[A-Za-z0-9_\-]+", re.IGNORECASE)
SHORTEST = 4
"""Length from which a secret of the settings is looked for in texts: shorter ones stand in many words."""


def mask_text(text: str) -> str:
    """A text without the passwords of URLs in it. Rather too much is masked than too little."""

    def userinfo(match: re.Match[str]) -> str:
        kept = f"{match['user']}:" if match["password"] is not None else ""
        return f"{match['scheme']}{kept}{MASK}@"

    return _SECRET_PARAMETER.sub(rf"\g<name>{MASK}", _USERINFO.sub(userinfo, text))


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """A text that may be shown: without passwords of URLs, access tokens and the ``secrets`` given."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    if "://" in text or "=" in text:
        text = mask_text(text)
    return _BEARER.sub(lambda match: (match["kind"] or "") + MASK, text)


def known_secrets(settings: Settings) -> tuple[str, ...]:
    """The secrets in the settings, as they may turn up in the text of an error; longest first."""
    found: set[str] = set()

    def look(value: Any, key: str) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                look(inner, str(name))
        elif isinstance(value, (list, tuple)):
            for inner in value:
                look(inner, key)
        elif isinstance(value, str):
            if _SECRET_KEY.search(key):
                found.add(value)
            if match := _USERINFO.search(value):
                password = (match["password"] or "").removeprefix(":")
                found.update((password, unquote(password)))

    look(settings.plugin, "")
    look(settings.redis.url, "")
    return tuple(sorted((one for one in found if len(one) >= SHORTEST), key=len, reverse=True))


def masked(value: Any, key: str = "") -> Any:
    """The same value with secrets replaced: passwords of URLs, and all values under a name that means a secret."""
    if isinstance(value, Mapping):
        return {name: masked(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(inner, key) for inner in value]
    if _SECRET_KEY.search(key) and not isinstance(value, bool) and value not in ("", None):
        return MASK
    return mask_text(value) if isinstance(value, str) else value


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_\-]+", name) else _string(name)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(str(name))} = {_inline(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return repr(value)


def _toml(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    tables = {name: value for name, value in table.items() if isinstance(value, Mapping)}
    arrays = {
        name: value
        for name, value in table.items()
        if isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value)
    }
    for name, value in table.items():
        if name not in tables and name not in arrays and value is not None:
            yield f"{_key(name)} = {_inline(value)}"
    for name, value in tables.items():
        at = (*path, _key(name))
        if value or path:
            yield f"\n[{'.'.join(at)}]"
        yield from _toml(value, at)
    for name, entries in arrays.items():
        at = (*path, _key(name))
        for entry in entries:
            yield f"\n[[{'.'.join(at)}]]"
            yield from _toml(entry, at)


def effective(settings: Settings | Mapping[str, Any]) -> str:
    """The settings as TOML, secrets masked."""
    tree = msgspec.to_builtins(settings, builtin_types=(datetime, date, time))
    return "\n".join(_toml(masked(tree), ())) + "\n"


def _range(of: inspect.IntType | inspect.FloatType) -> str:
    low = f" >= {of.ge}" if of.ge is not None else f" > {of.gt}" if of.gt is not None else ""
    high = f" <= {of.le}" if of.le is not None else f" < {of.lt}" if of.lt is not None else ""
    if of.ge is not None and of.le is not None:
        return f" from {of.ge} to {of.le}"
    return low + (" and" if low and high else "") + high


def expected(of: inspect.Type) -> str:  # noqa: PLR0911 - one return per type
    """What a setting takes, in words: ``an integer from 0 to 65535``."""
    match of:
        case inspect.Metadata():
            return expected(of.type)
        case inspect.IntType():
            return "an integer" + _range(of)
        case inspect.FloatType():
            return "a number" + _range(of)
        case inspect.BoolType():
            return "true or false"
        case inspect.StrType():
            return "a text" + (f" matching {of.pattern}" if of.pattern else "")
        case inspect.LiteralType() | inspect.EnumType():
            values = of.values if isinstance(of, inspect.LiteralType) else [entry.value for entry in of.cls]
            return "one of " + ", ".join(map(str, values))
        case inspect.ListType():
            return f"a list, each {expected(of.item_type)}"
        case inspect.DictType() | inspect.StructType():
            return "a table"
        case inspect.UnionType():
            return " or ".join(expected(entry) for entry in of.types if not isinstance(entry, inspect.NoneType))
        case _:
            return type(of).__name__.removesuffix("Type").lower()


@dataclass(frozen=True, slots=True)
class SettingDoc:
    """One line of the reference; ``default`` is TOML, empty when the setting must be given."""

    name: str
    type: str
    default: str
    meaning: str


def _description(of: inspect.Type) -> str:
    text = ""
    while isinstance(of, inspect.Metadata):
        text = str((of.extra_json_schema or {}).get("description", text))
        of = of.type
    return text


def _docs(of: inspect.StructType, prefix: str) -> Iterator[SettingDoc]:
    for entry in of.fields:
        inner = entry.type
        while isinstance(inner, inspect.Metadata):
            inner = inner.type
        name = prefix + entry.encode_name
        element = inner.item_type if isinstance(inner, inspect.ListType) else None
        if isinstance(inner, inspect.StructType):
            yield from _docs(inner, f"{name}.")
        elif isinstance(element, inspect.StructType):
            yield from _docs(element, f"{name}[].")
        else:
            default: Any = entry.default
            if entry.default_factory is not msgspec.NODEFAULT:
                default = entry.default_factory()
            text = "" if default is msgspec.NODEFAULT or default is None else _inline(msgspec.to_builtins(default))
            yield SettingDoc(name, expected(inner), text, _description(entry.type))


def reference(of: type[msgspec.Struct] = Settings, prefix: str = "") -> list[SettingDoc]:
    """All settings with type, default and meaning, tables last."""
    info = inspect.type_info(of)
    assert isinstance(info, inspect.StructType)  # noqa: S101 - by the signature
    docs = list(_docs(info, prefix))
    return sorted(docs, key=lambda doc: "." in doc.name.removeprefix(prefix))


def reference_rst(of: type[msgspec.Struct] = Settings, prefix: str = "") -> str:
    """The reference as a reStructuredText table."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 22 22 16 40", ""]
    rows = [("setting", "takes", "default", "meaning")]
    rows += [
        (f"``{doc.name}``", doc.type.replace("*", "\\*"), f"``{doc.default}``" if doc.default else "", doc.meaning)
        for doc in reference(of, prefix)
    ]
    for row in rows:
        lines += [f"   {'* -' if index == 0 else '  -'} {cell}".rstrip() for index, cell in enumerate(row)]
    return "\n".join(lines) + "\n"
