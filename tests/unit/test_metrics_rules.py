"""Prometheus takes its configuration, and each alert has the line of the manual that it leads to."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
RULES = (MONITORING / "rules" / "alerts.yml").read_text()
ALERTS = re.findall(r"- alert: (\w+)\n(.*?)(?=- alert: |\Z)", RULES, re.DOTALL)


def promtool(*arguments: str) -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool (of the Debian package prometheus) is not installed")
    done = subprocess.run([program, *arguments], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_its_configuration_and_rules() -> None:
    promtool("check", "config", "prometheus.yml")


def test_alerts_fire_when_they_should_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", "tests/alerts.yml")


def test_each_alert_says_how_bad_it_is_and_what_to_do() -> None:
    assert len(ALERTS) > 15
    for name, body in ALERTS:
        assert re.search(r"severity: (critical|warning|info)\}", body), name
        assert re.search(r"summary: \S", body), name
        assert f"runbook: docs/operations.md#{name.lower()}\n" in body + "\n", name


def test_each_alert_has_its_section_of_the_manual_and_each_section_its_alert() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text()
    section = re.search(r"^## Alerts\n(.*?)(?=^## |\Z)", manual, re.MULTILINE | re.DOTALL)
    assert section is not None
    assert sorted(re.findall(r"^### (\w+)$", section.group(1), re.MULTILINE)) == sorted(
        name for name, _ in ALERTS
    )


def test_grafana_reads_a_dashboard_whose_source_can_be_chosen() -> None:
    dashboard = json.loads((MONITORING / "grafana" / "dashboards" / "brain-tumor.json").read_text())
    panels = dashboard["panels"]
    rows = [panel["title"] for panel in panels if panel["type"] == "row"]
    assert rows == ["Now", "Queue", "API", "Workers and stages", "Stores", "Database"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    sources = {panel["datasource"]["uid"] for panel in panels if panel["type"] != "row"}
    assert sources == {"${datasource}"}
    assert dashboard["templating"]["list"][0]["name"] == "datasource"
