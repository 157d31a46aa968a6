"""What the demo plant calculates: points of a virtual device, worked out from those of the simulated ones."""

from __future__ import annotations

from typing import Any, Final

Payload = dict[str, Any]

DEVICE: Final = "calculated"
FEEDER, PUMPS = f"{DEVICE}.feeder1", f"{DEVICE}.pumps1"


def _formula(term_id: str, item_id: str, text: str, **params: str) -> Payload:
    target = {"device_id": DEVICE, "term_id": term_id, "item_id": item_id}
    return {"id": item_id, "formula": text, **target, **params}


def _relay(item_id: str) -> str:
    return f"feeder1:feeder1.relay:{item_id}"


def _reservoir(item_id: str) -> str:
    return f"pumps1:pumps1.reservoir:{item_id}"


FORMULA_MODEL: dict[str, list[Payload]] = {
    "devices": [
        {
            "id": DEVICE,
            "name": "Calculated values",
            "protocol": "formula",
            "description": "worked out from the values of other devices",
        },
    ],
    "terms": [
        {"id": FEEDER, "name": "Feeder 1", "device_id": DEVICE},
        {"id": PUMPS, "name": "Pump station 1", "device_id": DEVICE},
    ],
    "items": [
        {"id": "s", "name": "Apparent power", "unit": "kVA"},
        {"id": "power_factor", "name": "Power factor"},
        {"id": "unbalance", "name": "Voltage unbalance", "unit": "%"},
        {"id": "p_mean", "name": "Active power, mean of 15 min", "unit": "kW"},
        {"id": "net_flow", "name": "Flow into the reservoir", "unit": "m³/h"},
        {"id": "pumps_on", "name": "Pumps running"},
    ],
    "term_items": [
        {"term_id": FEEDER, "item_id": "s"},
        {"term_id": FEEDER, "item_id": "power_factor", "down_limit": 0.9},
        {"term_id": FEEDER, "item_id": "unbalance", "up_limit": 2.0},
        {"term_id": FEEDER, "item_id": "p_mean", "deadband_percent": 0.1, "max_silence": 60.0},
        {"term_id": PUMPS, "item_id": "net_flow"},
        {"term_id": PUMPS, "item_id": "pumps_on", "deadband": 0.0},
    ],
    "formulas": [
        _formula(FEEDER, "s", "hypot(p1, p2)", p1=_relay("p"), p2=_relay("q")),
        _formula(FEEDER, "power_factor", "p1 / p2 if p2 > 1 else 1", p1=_relay("p"), p2=f"{DEVICE}:{FEEDER}:s"),
        _formula(
            FEEDER,
            "unbalance",
            "100 * (max(p1, p2, p3) - min(p1, p2, p3)) / ((p1 + p2 + p3) / 3)",
            p1=_relay("ua"),
            p2=_relay("ub"),
            p3=_relay("uc"),
        ),
        _formula(FEEDER, "p_mean", "mean(p1, '15m')", p1=_relay("p")),
        _formula(PUMPS, "net_flow", "p1 - p2", p1=_reservoir("inflow"), p2=_reservoir("outflow")),
        _formula(
            PUMPS,
            "pumps_on",
            "p1 + p2",
            p1="pumps1:pumps1.drives:pump1_on",
            p2="pumps1:pumps1.drives:pump2_on",
        ),
    ],
}
"""Payloads as the REST API takes them, by kind. Formulas are named by their items."""
