"""Metrics: named, bounded, documented, and exact."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry

from service.metrics import Gaps, LiveMetrics, Metrics, metrics_page
from service.readiness import Readiness
from service.reasons import Unscored
from tests.service.scripted import ScriptedEngine

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_metrics_is_what_is_registered() -> None:
    assert (DOCS / "metrics.md").read_text() == metrics_page(), (
        "run `probewatch settings --metrics > docs/metrics.md`"
    )


def test_every_metric_has_our_prefix_and_no_colon() -> None:
    names = re.findall(r"^\| `([^`]+)`", metrics_page(), re.MULTILINE)

    assert len(names) > 20
    for name in names:
        assert re.fullmatch(r"probewatch_[a-z0-9_]+", name)


def test_every_failure_has_its_counter_from_the_start() -> None:
    """An alert on a rate sees nothing when a series appears together with its first count."""
    registry = CollectorRegistry()
    Metrics(registry)

    for reason in Unscored:
        value = registry.get_sample_value(
            "probewatch_monitor_failures_total", {"reason": reason.value}
        )
        assert value == (0.0 if reason.is_failure else None)


def test_gaps_are_counted_into_cumulative_buckets() -> None:
    registry = CollectorRegistry()
    gaps = Gaps("probewatch_x_seconds", "Waits.", (0.1, 1.0))
    registry.register(gaps)

    gaps.observe(np.array([0.05, 0.1, 0.5, 7.0]))

    found = [registry.get_sample_value("probewatch_x_seconds_bucket", {"le": le})
             for le in ("0.1", "1.0", "+Inf")]  # fmt: skip
    assert found == [2, 3, 4]
    assert registry.get_sample_value("probewatch_x_seconds_sum") == 7.65


def test_the_engines_counters_are_read_when_asked() -> None:
    registry, engine = CollectorRegistry(), ScriptedEngine()
    readiness = Readiness(engine, step_timeout_seconds=1, unready_seconds=1)
    registry.register(LiveMetrics(engine, readiness, lambda: 7))

    assert registry.get_sample_value("probewatch_engine_score_seconds_total") == 0.25
    assert registry.get_sample_value("probewatch_cases_open") == 7
    assert registry.get_sample_value("probewatch_ready") == 1
    card = {"digest": "abcdefabcdef", "model": "scripted", "fingerprint": "0123456789ab"}
    assert registry.get_sample_value("probewatch_probe_set_info", card) == 1


def test_a_store_that_is_down_shows_in_the_metrics() -> None:
    registry, engine = CollectorRegistry(), ScriptedEngine()
    readiness = Readiness(engine, step_timeout_seconds=1, unready_seconds=1)
    registry.register(LiveMetrics(engine, readiness, lambda: None))

    assert registry.get_sample_value("probewatch_cases_open") is None
    assert registry.get_sample_value("probewatch_ready") == 0
