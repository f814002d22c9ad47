"""What deploy/ and compose.yaml bring for operators, tried with the real programs where they are installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, Server, running_server
from tests.ops.prometheus import DEPLOY, Prometheus, needs_prometheus, promtool, running_prometheus
from tests.scrape import scrape
from tests.test_metrics import all_names

ALERTS = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"][0]["rules"]
CASES = yaml.safe_load((ROOT / "tests" / "ops" / "alerts.yml").read_text())["tests"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "darkroom.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())


def filled_in(query: str) -> str:
    """A query of the dashboard as Grafana sends it."""
    values = {"$job": "darkroom", "$instance": ".*", "$__rate_interval": "10s", "$__range": "1m"}
    for variable, value in values.items():
        query = query.replace(variable, value)
    assert "$" not in query
    return query


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The embedded model, after a picture."""
    with running_server(ROOT, data_dir=tmp_path_factory.mktemp("data")) as server:
        answer = server.predict(prompt="a red apple", num_inference_steps=1, width=65, height=64).json()
        assert answer["status"] == "succeeded", answer
        yield server


@pytest.fixture(scope="module")
def prometheus(model: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with running_prometheus(model.url.removeprefix("http://"), tmp_path_factory.mktemp("prometheus")) as running:
        yield running


def used_names(expression: str) -> set[str]:
    """The names of metrics in an expression, those of the parts of histograms without their suffix."""
    names = set(re.findall(r"\b(?:darkroom|process)_[a-z_]+", expression))
    return {name if name in all_names() else re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


def test_the_names_of_the_metrics_are_good(model: Server) -> None:
    told = scrape(model)
    families = {f"{name}_total" if family.type == "counter" else name for name, family in told.families.items()}
    assert families == {name for name in all_names() if not name.startswith("darkroom_gpu_")}
    assert told.value("darkroom_engine_images_total") == 1
    assert told.value("darkroom_engine_pass_rows_sum", module="unet") >= 1
    assert told.value("darkroom_engine_pass_duration_seconds_sum", module="vae.decode", kind="eager") > 0
    assert told.value("darkroom_prediction_warnings_total", code="rounded") == 1
    assert told.value("darkroom_output_files_total", result="published") == 1
    assert told.value("darkroom_output_bytes_total") > 100
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed. On Debian or Ubuntu: apt install prometheus")
    assert promtool("check", "metrics", text=told.text) == (0, "")


@needs_prometheus
def test_promtool_finds_what_is_wrong_with_metrics() -> None:
    status, said = promtool("check", "metrics", text="# TYPE pictures counter\npictures 1\n")
    assert (status != 0, "_total" in said) == (True, True)


@needs_prometheus
def test_prometheus_takes_the_metrics_and_the_alerts(prometheus: Prometheus) -> None:
    assert prometheus.wait_for("up == 1")[0]["metric"]["job"] == "darkroom"
    (target,) = prometheus.get("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    (group,) = prometheus.get("rules")["groups"]
    while "unknown" in {rule["health"] for rule in group["rules"]}:
        (group,) = prometheus.get("rules")["groups"]
    assert [rule["name"] for rule in group["rules"]] == [rule["alert"] for rule in ALERTS]
    assert {(rule["health"], rule["state"]) for rule in group["rules"]} == {("ok", "inactive")}


@needs_prometheus
@pytest.mark.parametrize("query", QUERIES)
def test_each_query_of_the_dashboard_has_a_result(prometheus: Prometheus, query: str) -> None:
    if "darkroom_gpu_" in query:
        assert prometheus.query(filled_in(query)) == []
    else:
        prometheus.wait_for(filled_in(query))


@needs_prometheus
@pytest.mark.parametrize("rule", ALERTS, ids=[rule["alert"] for rule in ALERTS])
def test_each_alert_is_about_series_that_there_are(prometheus: Prometheus, rule: dict[str, Any]) -> None:
    prometheus.wait_for("up == 1")
    for name in re.findall(r"\b(?:darkroom|process)_[a-z_]+|\bup\b", rule["expr"]):
        assert name.startswith("darkroom_gpu_") or prometheus.wait_for(name)


@pytest.mark.parametrize("expression", [*QUERIES, *(rule["expr"] for rule in ALERTS)])
def test_no_query_is_about_a_metric_that_there_is_not(expression: str) -> None:
    assert used_names(expression) <= all_names()


@needs_prometheus
def test_alerts_fire_when_they_should() -> None:
    assert promtool("check", "rules", "deploy/alerts.yml")[0] == 0
    assert promtool("check", "config", "deploy/prometheus.yml")[0] == 0
    status, said = promtool("test", "rules", "tests/ops/alerts.yml")
    assert status == 0, said


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_not() -> None:
    cases = [(test["alertname"], bool(test["exp_alerts"])) for case in CASES for test in case["alert_rule_test"]]
    assert set(cases) == {(rule["alert"], fires) for rule in ALERTS for fires in (True, False)}


def test_the_documentation_tells_of_each_alert() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    assert re.findall(r"^\| `(Darkroom\w+)` \|", text, re.MULTILINE) == [rule["alert"] for rule in ALERTS]


def test_each_alert_says_what_to_do() -> None:
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"].keys() == {"summary", "description"}


def test_the_dashboard_is_whole() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        assert {target["refId"] for target in panel["targets"]} == set("ABCDEF"[: len(panel["targets"])])
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${source}"}
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    # Grafana hands an id of its own to whatever has none.
    assert "id" not in DASHBOARD


def test_grafana_finds_the_dashboard_and_prometheus() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "darkroom.yml").read_text())["providers"]
    source_variable = DASHBOARD["templating"]["list"][0]
    assert source_variable["current"]["value"] == source["uid"]
    host, port = source["url"].removeprefix("http://").split(":")
    assert published(host)[1] == port
    mounts = mounted("grafana")
    assert mounts["/etc/grafana/provisioning"] == provisioning
    assert mounts[provider["options"]["path"]] == DEPLOY / "grafana" / "dashboards"
    home = Path(COMPOSE["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (mounts[str(home.parent)] / home.name).exists()


def test_prometheus_finds_the_server() -> None:
    mounts = mounted("prometheus")
    config = Path("/etc/prometheus/prometheus.yml")
    assert f"--config.file={config}" in COMPOSE["services"]["prometheus"]["command"]
    read = yaml.safe_load(mounts[str(config)].read_text())
    for name in read["rule_files"]:
        assert mounts[str(config.parent / name)].exists()
    (target,) = read["scrape_configs"][0]["static_configs"][0]["targets"]
    host, port = target.split(":")
    assert published(host)[1] == port
    assert re.search(rf"\bPORT={port}\b", (ROOT / "Dockerfile").read_text())


def test_nothing_is_reachable_from_other_machines() -> None:
    for name in COMPOSE["services"]:
        assert published(name)[0].startswith("127.0.0.1:")


def test_volumes_are_declared() -> None:
    used = {
        volume.partition(":")[0]
        for service in COMPOSE["services"].values()
        for volume in service["volumes"]
        if not volume.startswith(".")
    }
    assert used == COMPOSE["volumes"].keys()


@pytest.mark.parametrize("files", [("compose.yaml",), ("compose.yaml", "compose.gpu.yaml")], ids=["cpu", "gpu"])
def test_compose_takes_the_files(files: tuple[str, ...]) -> None:
    flags = [text for file in files for text in ("--file", file)]
    process = subprocess.run(
        [*_compose(), *flags, "config", "--format", "json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stderr) == (0, "")
    server = json.loads(process.stdout)["services"]["server"]
    devices = server.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
    assert [device["driver"] for device in devices] == ["nvidia"] * ("compose.gpu.yaml" in files)
    assert server["environment"].get("DARKROOM_DEVICES") == ("all" if devices else None)


def _compose() -> list[str]:
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            version = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False)
            if re.match(r"v?([2-9]|\d\d)\.", version.stdout):
                return command
    pytest.skip("Docker Compose 2 is not installed. On Debian: https://docs.docker.com/compose/install/linux/")


def mounted(service: str) -> dict[str, Path]:
    """The files and folders of this repository that a service sees, by their paths in it."""
    volumes = [volume.split(":") for volume in COMPOSE["services"][service]["volumes"] if volume.startswith("./")]
    assert all(options == ["ro"] for _, _, *options in volumes)
    return {target: ROOT / source for source, target, *_ in volumes}


def published(service: str) -> tuple[str, str]:
    """The address on this machine that a service is reached at, and the port of it that this leads to."""
    (port,) = COMPOSE["services"][service]["ports"]
    address, _, target = port.rpartition(":")
    return address, target
