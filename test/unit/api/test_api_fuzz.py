"""Random documents at every writing route: whatever comes, it is refused or taken, never a 500."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from pydatacoll.model.registry import formula_points
from test.api_client import Api
from test.fakes_api import FakeBackend

ROUTES = [
    ("POST", "/api/v1/devices"),
    ("PUT", "/api/v1/devices/feeder1"),
    ("PATCH", "/api/v1/devices/feeder1"),
    ("POST", "/api/v1/terms"),
    ("PUT", "/api/v1/terms/main"),
    ("PATCH", "/api/v1/terms/main"),
    ("POST", "/api/v1/items"),
    ("PATCH", "/api/v1/items/ua"),
    ("POST", "/api/v1/terms/main/items"),
    ("PUT", "/api/v1/terms/main/items/ua"),
    ("PATCH", "/api/v1/terms/main/items/ua"),
    ("POST", "/api/v1/formulas"),
    ("POST", "/api/v1/device_call"),
    ("POST", "/api/v1/device_ctrl"),
    ("POST", "/api/v2/devices"),
    ("POST", "/api/v2/terms"),
    ("POST", "/api/v2/term_items"),
    ("POST", "/api/v2/formulas"),
    ("POST", "/api/v2/devices/del"),
    ("POST", "/api/v2/term_items/del"),
    ("POST", "/api/v2/device_call"),
    ("POST", "/api/v2/device_ctrl"),
]
NAMES = """id name protocol ip port identify enabled description status link timeout retries poll_interval max_gap
max_block byte_order device_id address item_id term_id view_code unit protocol_code code_type base_val coefficient
writable deadband history_length down_limit up_limit alarm_delay do_verify db_save bit length formula p0 p1 p999
params value mode verify expires_in reason""".split()  # noqa: SIM905 - a table of words reads better
LEAVES: list[Any] = [
    None, True, False, 0, 1, -1, 7, 65535, 65536, 10**18, 2**63, 2**64, 10**40, -(10**400),
    0.1, 1e-320, 1e308, -0.0,
    "", " ", "x", "a b", "a:b", "a:b:c", "feeder1", "main", "ua", "feeder1:main:ua", "modbus_tcp", "formula", "1",
    "1.5", "1e999", "nan", "-inf", "true", "hr:1", "hr:65535", "4x1", "co:5", "0x6", "float64", "string", "big",
    "é", "\u202e", "\x00", "\x7f", "𝔘", "a" * 65, "9" * 400, "p1 + 1", "{0}", "%s", "'; DROP", "\r\nX: 1",
    [], {}, [[]], {"": None}, [None], {"a": {"b": [1]}},
]  # fmt: skip
GOOD: dict[str, dict[str, Any]] = {
    "devices": {"id": "x1", "name": "x", "protocol": "modbus_tcp"},
    "terms": {"id": "x2", "name": "x", "device_id": "feeder1"},
    "items": {"id": "x3", "name": "x"},
    "term_items": {"term_id": "main", "item_id": "ua", "protocol_code": "hr:5", "writable": True},
    "formulas": {"id": "x4", "formula": "p1", "device_id": "feeder1", "term_id": "main", "item_id": "ua"},
    "device": {"device_id": "feeder1", "term_id": "main", "item_id": "ua", "value": 1},
}


def _template(path: str) -> dict[str, Any]:
    if "terms/main/items" in path or "term_items" in path:
        return GOOD["term_items"]
    name = path.split("/")[3]
    return GOOD["device" if name.startswith("device_") else name]


def _document(rng: random.Random, path: str) -> Any:
    made = dict(_template(path)) if rng.random() < 0.9 else {}
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        made[rng.choice(NAMES)] = rng.choice(LEAVES)
    if made and rng.random() < 0.2:
        del made[rng.choice(list(made))]
    return rng.choice(LEAVES) if rng.random() < 0.05 else made


@pytest.mark.parametrize("seed", range(8))
async def test_random_documents(plant: Api, backend: FakeBackend, seed: int) -> None:
    rng = random.Random(seed)
    seen = set()
    for _ in range(300):
        method, path = rng.choice(ROUTES)
        document = _document(rng, path)
        if "v2" in path and rng.random() < 0.7:
            document = [document, _document(rng, path), _document(rng, path)]
        raw = json.dumps(document, ensure_ascii=rng.random() < 0.5).encode()
        if rng.random() < 0.1:
            place = rng.randrange(len(raw))
            raw = raw[:place] + bytes([rng.randrange(256)]) + raw[place + rng.randrange(3) :]
        answer = await plant(method, path, data=raw)
        assert answer.status < 500, (method, path, raw, answer.raw)
        seen.add(answer.status)
    assert {200, 422} <= seen
    for kind in ("devices", "terms", "items", "formulas"):
        await plant.get(f"/api/v1/{kind}?expand=true")
    registry = backend.repository.registry
    assert {term.device_id for term in registry.terms.values()} <= set(registry.devices)
    assert all(term in registry.terms and item in registry.items for term, item in registry.term_items)
    for formula in registry.formulas.values():
        for device_id, term_id, item_id in formula_points(formula):
            assert registry.terms[term_id].device_id == device_id
            assert (term_id, item_id) in registry.term_items
