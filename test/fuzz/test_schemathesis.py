"""Requests made from the OpenAPI document, valid and not, with the token of each scope, at a real server."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from pathlib import Path

import pytest

from test.system.rig import Rig

HOOKS = "test.fuzz.schemathesis_hooks"
CHECKS = (
    "only_documented_statuses",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
    "use_after_free",
)


def _settings(folder: Path) -> Path:
    """Tokens of all scopes; devices on this machine only, whatever addresses are thought up."""
    lines = ["[manager]", 'networks = ["127.0.0.0/8"]', "[auth]", "control_rate = 0"]
    for scope in ("read", "operate", "admin"):
        digest = hashlib.sha256(f"secret of {scope}".encode()).hexdigest()
        lines += ["[[auth.tokens]]", f'name = "{scope}"', f'hash = "{digest}"', f'scope = "{scope}"']
    file = folder / "pydatacoll.toml"
    file.write_text("\n".join(lines))
    file.chmod(0o600)
    return file


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("scope", "phases"),
    [("read", "fuzzing"), ("operate", "fuzzing"), ("admin", "examples,coverage,fuzzing,stateful")],
)
async def test_nothing_undocumented_comes_back(tmp_path: Path, scope: str, phases: str) -> None:
    examples = os.environ.get("SCHEMATHESIS_EXAMPLES", "6")
    async with Rig(tmp_path) as rig:
        rig.noisy = 5000  # devices that do not exist are thought up and tried
        api = await rig.api("--demo", "--config", str(_settings(tmp_path)))
        await api.client.ready(within=20)
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{api.client.url}/openapi.json"),
            *("--header", f"Authorization: Bearer secret of {scope}", "--checks", ",".join(CHECKS)),
            *("--max-examples", examples, "--seed", "1", "--phases", phases),
            *("--no-color", "--generation-database", "none", "--continue-on-failure", "--warnings", "off"),
            *("--request-timeout", "30", "--exclude-path", "/api/v2/events"),  # its answer does not end
        ]
        root = Path(__file__).parents[2]
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=tmp_path,
            env={**os.environ, "SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(root)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        print(output.decode())
        assert process.returncode == 0
        await api.client.ready()
