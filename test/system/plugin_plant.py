"""The plant of :mod:`test.system.oracle` with alarms and formulas over the numbers that the devices send."""

from __future__ import annotations

from typing import Any

from test.system.oracle import Plant
from test.system.rig import Client, eventually

PLUGINS = ("checker", "db_saver", "formula")
PERIOD = 20
"""After so many numbers an alarm has come and gone."""
FORMULAS: dict[str, tuple[str, dict[str, str]]] = {
    "sum": ("p1 + p2", {"p1": "{d}:{d}t:s0", "p2": "{d}:{d}t:s1"}),
    "turn": (f"p1 % {PERIOD}", {"p1": "{d}:{d}t:s0"}),
    "twice": ("2 * p1", {"p1": "v{d}:v{d}t:sum"}),
}
"""Item of the virtual device ``v{d}`` -> its formula."""


class PluginPlant(Plant):
    """Every device ``d`` has a virtual one ``v{d}`` with :data:`FORMULAS`; ``s0`` has a rule, ``turn`` a limit."""

    async def configure(self, client: Client, ports: dict[str, int] | None = None, **options: Any) -> None:
        """Make the model of it. The devices are disabled at first: see :meth:`enable`."""
        await super().configure(client, ports, enabled=False, **options)
        await client.send("POST", "/api/v2/items", [{"id": item, "name": item} for item in FORMULAS])
        virtual = [f"v{device}" for device in self.servers]
        await client.send(
            "POST", "/api/v2/devices", [{"id": v, "name": v, "protocol": "formula"} for v in virtual]
        )
        await client.send("POST", "/api/v2/terms", [{"id": f"{v}t", "name": v, "device_id": v} for v in virtual])
        limit = {"up_limit": PERIOD / 2 - 1, "quality_alarm": False}
        points = [
            {"term_id": f"{v}t", "item_id": item} | (limit if item == "turn" else {})
            for v in virtual
            for item in FORMULAS
        ]
        await client.send("POST", "/api/v2/term_items", points)
        formulas = [
            {"id": f"{item}-{d}", "formula": text, "device_id": f"v{d}", "term_id": f"v{d}t", "item_id": item}
            | {name: point.format(d=d) for name, point in parameters.items()}
            for d in self.servers
            for item, (text, parameters) in FORMULAS.items()
        ]
        await client.send("POST", "/api/v2/formulas", formulas)
        for device in self.servers:
            rule = {"do_verify": f"value % {PERIOD} < {PERIOD // 2}", "quality_alarm": False}
            await client.send("PATCH", f"/api/v1/terms/{device}t/items/s0", rule)

    async def enable(self, client: Client) -> None:
        """Begin to collect, once every plugin knows the model: no sample comes before its formula."""
        formulas, watched = len(self.servers) * len(FORMULAS), len(self.servers) * 2

        status: dict[str, Any] = {}

        async def known() -> bool:
            status.update(await plugin_status(client))
            return (
                all(name in status and status[name]["state"] == "running" for name in PLUGINS)
                and sum(one["status"].get("points", 0) for one in status["checker"]["runners"]) >= watched
                and any(one["status"].get("formulas") == formulas for one in status["formula"]["runners"])
            )

        await eventually(known, lambda: f"all plugins know the model: {status}", within=60)
        for device in self.servers:
            await client.send("PATCH", f"/api/v1/devices/{device}", {"enabled": True})


async def plugin_status(client: Client) -> dict[str, dict[str, Any]]:
    """Name -> what ``/api/v2/plugins`` says."""
    return {row["name"]: row for row in await client.get("/api/v2/plugins")}
