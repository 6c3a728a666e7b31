"""Alerts name metrics that exist, and each has its page in the runbook."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
RULES = (ROOT / "deploy/prometheus-rules.yml").read_text()
RUNBOOK = (ROOT / "deploy/runbook.md").read_text()


def test_every_metric_in_an_alert_is_one_that_the_service_serves() -> None:
    """An alert on a metric that was renamed never fires."""
    served = set(
        re.findall(r"^\| `(probewatch_\w+)`", (ROOT / "docs/metrics.md").read_text(), re.M)
    )
    named = set(re.findall(r"probewatch_\w+", RULES))

    assert named
    assert named <= served


def test_every_alert_has_a_section_in_the_runbook() -> None:
    alerts = re.findall(r"alert: (\w+)", RULES)

    assert alerts
    assert alerts == re.findall(r"^## (\w+)", RUNBOOK, re.M)
