"""What is shipped in deploy/ fits the program: settings, options, files and metrics exist."""

from __future__ import annotations

import configparser
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pydatacoll import api_server
from pydatacoll.config import load_settings
from pydatacoll.config_text import reference

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def known() -> set[str]:
    """Every name in the exposition, and those of the process collector."""
    spec = importlib.util.spec_from_file_location("docs_generated_for_deploy", ROOT / "docs/generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    names = {name for name, _, _ in module.metric_names()}
    histograms = {f"{name}{end}" for name in names for end in ("_bucket", "_sum", "_count") if "duration" in name}
    return names | histograms | {"process_cpu_seconds_total", "process_resident_memory_bytes", "up"}


def metrics_in(expression: str) -> set[str]:
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(by|without)\s*\([^)]*\)|\"[^\"]*\"", " ", expression)
    return set(re.findall(r"\b(?:pydatacoll|process|python)_\w+|\bup\b", bare))


def test_every_metric_of_the_dashboard_exists(known: set[str]) -> None:
    dashboard = json.loads((DEPLOY / "grafana/pydatacoll.json").read_text())
    panels = dashboard["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    assert all(metrics_in(expression) for expression in expressions)
    assert set().union(*map(metrics_in, expressions)) <= known
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(panels))) <= variables


def test_the_dashboard_shows_what_an_operator_asks_for() -> None:
    text = (DEPLOY / "grafana/pydatacoll.json").read_text()
    for wanted in (
        "pydatacoll_accounted_samples_total",
        "pydatacoll_devices",
        "pydatacoll_http_request_duration_seconds_bucket",
        "pydatacoll_service_failures_total",
        "pydatacoll_store_memory_bytes",
        "pydatacoll_plugin_lag_entries",
        "pydatacoll_alarms_unacknowledged",
    ):
        assert wanted in text


def test_every_metric_of_the_alerts_exists(known: set[str]) -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus/pydatacoll.rules.yml").read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in alerts}) == len(alerts) > 5
    for rule in alerts:
        assert metrics_in(rule["expr"]), rule
        assert metrics_in(rule["expr"]) <= known
        assert rule["annotations"]["summary"]


def test_the_scrape_example_sends_a_token() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
    assert job["authorization"]["type"] == "Bearer"
    for name in config["rule_files"]:
        assert (DEPLOY / "prometheus" / name).is_file()


def uncommented(text: str) -> str:
    """The example with the settings that are commented out switched on."""
    return re.sub(r"^#(?=\w+ = |\[)", "", text, flags=re.MULTILINE)


def test_the_example_of_settings_loads(tmp_path: Path) -> None:
    file = DEPLOY / "pydatacoll.toml"
    assert load_settings(file, {}, {}).redis.url == "embedded"
    everything = tmp_path / "all.toml"
    everything.write_text(uncommented(file.read_text()))
    settings = load_settings(everything, {}, {})
    assert settings.auth.tokens[0].name == "prometheus"
    assert settings.manager.networks
    assert settings.server.tls_cert


def unit() -> dict[str, list[str]]:
    """Option -> its values, of all sections."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "pydatacoll.service").read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_the_unit_starts_what_exists() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read(DEPLOY / "pydatacoll.service")
    assert parser.sections() == ["Unit", "Service", "Install"]
    (command,) = unit()["ExecStart"]
    assert " -m pydatacoll.api_server " in command
    options = {option for parameter in api_server.main.params for option in parameter.opts}
    assert set(re.findall(r"--[a-z-]+", command)) <= options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Type", "notify"),
        ("DynamicUser", "yes"),
        ("StateDirectory", "pydatacoll"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("Restart", "on-failure"),
    ],
)
def test_the_unit_is_closed_off(name: str, value: str) -> None:
    assert unit()[name] == [value]
    assert {"MemoryMax", "TimeoutStopSec", "WatchdogSec", "SystemCallFilter"} <= unit().keys()


def instructions() -> Iterator[tuple[str, str]]:
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, rest = line.partition(" ")
            yield name, rest.strip()


def test_the_container_copies_what_exists_and_runs_unprivileged() -> None:
    found = list(instructions())
    assert {name for name, _ in found} <= {
        "FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK",
        "ENTRYPOINT", "CMD",
    }  # fmt: skip
    bases = [rest.split()[0] for name, rest in found if name == "FROM"]
    assert all(re.fullmatch(r"\S+/python:3\.\d+-slim-\w+", base) for base in bases)
    for name, rest in found:
        if name == "COPY" and not rest.startswith("--from"):
            *sources, _ = rest.split()
            assert all((ROOT / source).exists() for source in sources), rest
    assert [rest for name, rest in found if name == "USER"][-1] not in {"0", "root"}
    assert ("VOLUME", "/data") in found
    assert any(name == "HEALTHCHECK" for name, _ in found)
    assert all("--no-cache-dir" in rest for name, rest in found if name == "RUN" and "pip install" in rest)
    for name, rest in found:
        if name in {"ENTRYPOINT", "CMD"}:
            json.loads(rest)


def test_the_container_needs_nothing_else_to_be_built() -> None:
    copied = {source for name, rest in instructions() if name == "COPY" for source in rest.split()[:-1]}
    setup = (ROOT / "setup.py").read_text()
    for file in re.findall(r'HERE / "([\w.]+)"', setup):
        assert file in copied, f"setup.py reads {file}"
    settings = {f"PYDATACOLL_{doc.name.upper().replace('.', '__')}" for doc in reference()}
    given: Any = next(rest for name, rest in instructions() if name == "ENV")
    assert set(re.findall(r"PYDATACOLL_\w+", given)) <= settings
