"""What must hold of the keys in the store at any moment, whatever was killed: checked by walking through all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

import redis

from pydatacoll.codec.entry import decode_entry
from pydatacoll.store import keys

REQUIRED = {
    "DEVICE": {"id", "name", "protocol"},
    "TERM": {"id", "name", "device_id"},
    "ITEM": {"id", "name"},
    "TERM_ITEM": {"term_id", "item_id"},
    "FORMULA": {"id", "formula", "device_id", "term_id", "item_id"},
}
"""Fields without which an object is half of one."""
MORTAL = ("COMMAND:", "IDEMPOTENCY:", "WRITER:", "LEASE:")
"""Prefixes of keys that must expire."""


def _pattern(shape: str) -> str:
    parts = re.split(r"(\{\w+\})", shape)
    return "".join(
        r"\{p\d+\}" if part == "{pN}" else "[^{}]*" if part[:1] == "{" else re.escape(part) for part in parts
    )


DOCUMENTED = re.compile("|".join(map(_pattern, keys.DOCUMENTATION)))


class Snapshot:
    """All keys of a store, read one after the other: take it when nobody changes the model.

    :ivar hashes: the objects: kind -> key (``t:i`` of a term item) -> fields.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.names = sorted(client.scan_iter(count=1000))
        self.hashes: dict[str, dict[str, Mapping[str, str]]] = {kind: {} for kind in REQUIRED}
        for name in self.names:
            first, _, rest = name.partition(":")
            kind, _, key = rest.partition(":")
            if first == "HS" and kind in REQUIRED:
                self.hashes[kind][key] = client.hgetall(name)

    def members(self, prefix: str) -> dict[str, set[str]]:
        return {name[len(prefix) :]: self.client.smembers(name) for name in self.names if name.startswith(prefix)}


def problems(client: redis.Redis, *, data: bool = True) -> list[str]:
    """Everything that is wrong, one line each.

    :param data: also look at samples. Those of a device just deleted may still be there for a moment.
    """
    now = Snapshot(client)
    return [*_keys(now), *_objects(now), *_children(now), *_log(now), *(_data(now) if data else ())]


def _keys(now: Snapshot) -> Iterator[str]:
    for name in now.names:
        if not DOCUMENTED.fullmatch(name):
            yield f"{name}: no documented key"
        if name.startswith(MORTAL) and now.client.ttl(name) == -1:
            yield f"{name}: never expires"


def _objects(now: Snapshot) -> Iterator[str]:
    for kind, required in REQUIRED.items():
        if kind != "TERM_ITEM":
            listed = now.client.smembers(f"SET:{kind}")
            found = set(now.hashes[kind])
            yield from (f"SET:{kind}: {key} has no hash" for key in listed - found)
            yield from (f"HS:{kind}:{key} is in no set" for key in found - listed)
        for key, fields in now.hashes[kind].items():
            if missing := required - fields.keys():
                yield f"HS:{kind}:{key} is half an object: no {', '.join(sorted(missing))}"


def _children(now: Snapshot) -> Iterator[str]:
    devices, terms, items, points = (now.hashes[kind] for kind in ("DEVICE", "TERM", "ITEM", "TERM_ITEM"))
    of_device: dict[str, set[str]] = {}
    for key, fields in terms.items():
        of_device.setdefault(fields.get("device_id", ""), set()).add(key)
        if fields.get("device_id") not in devices:
            yield f"HS:TERM:{key}: its device {fields.get('device_id')} does not exist"
    yield from _same("SET:DEVICE_TERM", now.members("SET:DEVICE_TERM:"), of_device)
    of_term: dict[str, set[str]] = {}
    for key in points:
        term, _, item = key.partition(":")
        of_term.setdefault(term, set()).add(item)
        if term not in terms:
            yield f"HS:TERM_ITEM:{key}: its term does not exist"
        if item not in items:
            yield f"HS:TERM_ITEM:{key}: its item does not exist"
    yield from _same("SET:TERM_ITEM", now.members("SET:TERM_ITEM:"), of_term)
    of_point: dict[str, set[str]] = {}
    for key, fields in now.hashes["FORMULA"].items():
        for name, ref in fields.items():
            if re.fullmatch(r"p\d+", name):
                of_point.setdefault(ref, set()).add(key)
    yield from _same("SET:FORMULA_PARAM", now.members("SET:FORMULA_PARAM:"), of_point)


def _same(name: str, stored: Mapping[str, set[str]], right: Mapping[str, set[str]]) -> Iterator[str]:
    for key in sorted(stored.keys() | right.keys()):
        if stored.get(key, set()) != right.get(key, set()):
            yield f"{name}:{key} is {sorted(stored.get(key, ()))}, the objects say {sorted(right.get(key, ()))}"


def _log(now: Snapshot) -> Iterator[str]:
    version = now.client.get(keys.VERSION)
    last = now.client.xrevrange(keys.MODEL_LOG, count=1)
    if version is not None and (not last or last[0][0] != f"{version}-0"):
        yield f"{keys.VERSION} is {version}, the log ends with {last[0][0] if last else None}"


def _data(now: Snapshot) -> Iterator[str]:
    partitions = int(now.client.get(keys.PARTITION_COUNT) or keys.PARTITIONS)
    with_data = {
        device: int(tag.strip("{p}"))
        for tag, devices in now.members("SET:DATA_DEVICE:").items()
        for device in devices
    }
    for device, partition in with_data.items():
        if device not in now.hashes["DEVICE"]:
            yield f"data of device {device}, which does not exist"
        if partition != keys.partition_of(device, partitions):
            yield f"data of device {device} in partition {partition}"
    for name in now.names:
        if name.startswith("HS:LATEST:"):
            device, entries = name.split(":")[3], now.client.hvals(name)
        elif name.startswith("LST:DATA:"):
            device, entries = name.split(":")[3], now.client.lrange(name, 0, -1)
        else:
            continue
        if device not in with_data:
            yield f"{name}: device {device} has no data by SET:DATA_DEVICE"
        for entry in entries:
            try:
                decode_entry(entry)
            except ValueError:
                yield f"{name}: {entry!r} is no sample"


def link_states(client: redis.Redis) -> dict[str, str]:
    """Device -> state of its link, as the manager wrote it last."""
    found: dict[str, str] = {}
    for name in client.scan_iter("HS:LINK:*"):
        found |= {device: json.loads(text)["state"] for device, text in client.hgetall(name).items()}
    return found
