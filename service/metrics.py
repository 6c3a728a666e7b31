"""What the service counts, and nothing of what anybody said.

Every name starts with `probewatch_` and carries its unit; every label takes its
values from a closed list or from the probe set. The registry is passed in, so a
test reads exact values from a private one. `docs/metrics.md` is made from this
module by `metrics_page`, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import cast

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service.domain import RequestRecord
from service.engines.protocol import Engine, EngineCard
from service.readiness import Readiness
from service.reasons import Unscored

LATENCY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
MARGIN_LOGITS = (-16, -8, -4, -2, -1, -0.5, 0, 0.5, 1, 2, 4, 8, 16)


class Metrics:
    """All counters of the gateway, on one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._count_requests()
        self._count_tokens()
        self._count_monitor()

    def _count_requests(self) -> None:
        self.answers = Counter(
            "probewatch_answers",
            "Answers by route and how they ended; reason is empty exactly when outcome is scored.",
            ("route", "outcome", "reason"),
            registry=self.registry,
        )
        self.finished = Counter(
            "probewatch_answers_finished",
            "Scored answers by finish reason: stop, length or content_filter.",
            ("finish_reason",),
            registry=self.registry,
        )
        self.refused = Counter(
            "probewatch_requests_refused",
            "Requests that never reached the model, by error code.",
            ("code",),
            registry=self.registry,
        )
        self.first_token = Histogram(
            "probewatch_time_to_first_token_seconds",
            "From a request's arrival to the release of its first text.",
            buckets=LATENCY_SECONDS,
            registry=self.registry,
        )
        self.inter_token = Gaps(
            "probewatch_inter_token_latency_seconds",
            "Between two releases of text of one answer, counted when the answer ends.",
            LATENCY_SECONDS,
        )
        self.registry.register(self.inter_token)
        self.latency = Histogram(
            "probewatch_e2e_request_latency_seconds",
            "From a request's arrival to the end of an answer, however it ended.",
            buckets=LATENCY_SECONDS,
            registry=self.registry,
        )

    def _count_tokens(self) -> None:
        self.prompt_tokens = Counter(
            "probewatch_prompt_tokens",
            "Tokens of prompts of answers that ended.",
            registry=self.registry,
        )
        self.tokens_scored = Counter(
            "probewatch_tokens_scored",
            "Response tokens that were read and scored.",
            registry=self.registry,
        )
        self.tokens_released = Counter(
            "probewatch_tokens_released",
            "Response tokens that left for a client.",
            registry=self.registry,
        )
        self.tokens_released_unscored = Counter(
            "probewatch_tokens_released_unscored",
            "Response tokens that left before their score was in: 0 under release rule scored.",
            registry=self.registry,
        )

    def _count_monitor(self) -> None:
        self.crossings = Counter(
            "probewatch_threshold_crossings",
            "Answers in which a probe crossed its threshold, by the action in force.",
            ("probe", "role", "action"),
            registry=self.registry,
        )
        self.flags = Counter(
            "probewatch_flags_committed",
            "Flags that are durable in the review store, by probe and decision.",
            ("probe", "decision"),
            registry=self.registry,
        )
        self.margin = Histogram(
            "probewatch_peak_margin_logits",
            "An answer's highest statistic less the threshold, by probe; drift shows here first.",
            ("probe",),
            buckets=MARGIN_LOGITS,
            registry=self.registry,
        )
        self.failures = Counter(
            "probewatch_monitor_failures",
            "Answers withheld because scoring or keeping records failed, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self.commit_seconds = Histogram(
            "probewatch_store_commit_seconds",
            "Until a flag or a record was durable, by what was written.",
            ("kind",),
            buckets=LATENCY_SECONDS,
            registry=self.registry,
        )
        self.anchors = Counter(
            "probewatch_audit_anchors",
            "Heads of the audit's chain that were due outside the database: kept or failed.",
            ("target", "outcome"),
            registry=self.registry,
        )
        for reason in Unscored:
            if reason.is_failure:
                self.failures.labels(reason.value)

    def count_answer(
        self,
        record: RequestRecord,
        card: EngineCard,
        *,
        prompt_tokens: int,
        tripped: Sequence[bool],
    ) -> None:
        """Count an answer that ended, once; `tripped` says it of each probe of the card."""
        self.answers.labels(record.route, record.outcome, record.reason or "").inc()
        self.prompt_tokens.inc(prompt_tokens)
        self.tokens_scored.inc(record.tokens_scored)
        self.tokens_released.inc(record.tokens_released)
        self.tokens_released_unscored.inc(record.tokens_released_unscored)
        for name, threshold, deciding, crossed in zip(
            card.probes, card.thresholds, card.deciding, tripped, strict=True
        ):
            peak = record.peaks.get(name)
            if peak is not None:
                self.margin.labels(name).observe(peak - threshold)
            if crossed:
                role = "champion" if deciding else "challenger"
                self.crossings.labels(name, role, record.action.value).inc()

    def observe_releases(self, moments: Sequence[float]) -> None:
        """Count the waits of one answer, from its arrival over each release of text."""
        if len(moments) > 1:
            self.first_token.observe(moments[1] - moments[0])
            self.inter_token.observe(np.diff(moments[1:]))


class Gaps(Collector):
    """A histogram that takes a whole answer at once; one call per token would cost 5 us each."""

    def __init__(self, name: str, documentation: str, bounds: Sequence[float]) -> None:
        self._name, self._documentation = name, documentation
        self._bounds = np.array(bounds)
        self._counts = np.zeros(len(bounds) + 1, dtype=np.int64)
        self._sum = 0.0
        self._lock = Lock()

    def observe(self, values: Float[NDArray[np.float64], " gaps"]) -> None:
        """Count all values."""
        buckets = np.searchsorted(self._bounds, values)
        with self._lock:
            self._counts += np.bincount(buckets, minlength=len(self._counts))
            self._sum += float(values.sum())

    def describe(self) -> Iterable[Metric]:
        """The family without samples."""
        return [HistogramMetricFamily(self._name, self._documentation)]

    def collect(self) -> Iterable[Metric]:
        """Cumulative counts, as Prometheus wants them."""
        with self._lock:
            counts, total = self._counts.cumsum().tolist(), self._sum
        bounds = [*(str(bound) for bound in self._bounds.tolist()), "+Inf"]
        family = HistogramMetricFamily(self._name, self._documentation)
        family.add_metric([], list(zip(bounds, counts, strict=True)), total)
        yield family


class LiveMetrics(Collector):
    """Read when asked: the engine's counters, readiness and the length of the queue."""

    def __init__(
        self, engine: Engine, readiness: Readiness, cases_open: Callable[[], int | None]
    ) -> None:
        self._engine = engine
        self._readiness = readiness
        self._cases_open = cases_open

    def describe(self) -> Iterable[Metric]:
        """The families below without samples, so that registering reads nothing."""
        return [*_engine_families(), *_state_families(), _card_family()]

    def collect(self) -> Iterable[Metric]:
        """One reading of everything. A database that is down leaves out the queue's length."""
        stats, health = self._engine.step_stats(), self._engine.health()
        for counter in _engine_families():
            counter.add_metric([], _engine_value(counter.name, stats))
            yield counter
        cases = self._cases_open()
        values: dict[str, float | None] = {
            "probewatch_streams_running": health.running,
            "probewatch_requests_waiting": health.waiting,
            "probewatch_ready": float(cases is not None and not self._readiness.reasons()),
            "probewatch_cases_open": cases,
        }
        for gauge in _state_families():
            value = values[gauge.name]
            if value is not None:
                gauge.add_metric([], value)
            yield gauge
        card, info = self._engine.card, _card_family()
        known = {"digest": card.probe_set, "model": card.model_name}
        info.add_metric([], {**known, "fingerprint": card.fingerprint})
        yield info


_ENGINE_COUNTERS = {
    "probewatch_engine_steps": "Decode steps, each one forward pass over all running streams.",
    "probewatch_engine_tokens": "Response tokens that the engine read and scored.",
    "probewatch_engine_step_seconds": "Spent in decode steps, scoring included.",
    "probewatch_engine_score_seconds": "Of those, spent on scoring.",
    "probewatch_engine_prefill_chunks": "Forward passes over prompts.",
    "probewatch_engine_prefill_tokens": "Prompt tokens read.",
    "probewatch_engine_prefill_seconds": "Spent on prompts.",
}


def _engine_value(name: str, stats: object) -> float:
    return cast(float, getattr(stats, name.removeprefix("probewatch_engine_")))


def _engine_families() -> list[CounterMetricFamily]:
    return [CounterMetricFamily(name, text) for name, text in _ENGINE_COUNTERS.items()]


def _state_families() -> list[GaugeMetricFamily]:
    return [
        GaugeMetricFamily("probewatch_streams_running", "Streams in the engine's batch."),
        GaugeMetricFamily("probewatch_requests_waiting", "Requests in the engine's queue."),
        GaugeMetricFamily(
            "probewatch_ready", "1 while answers can be scored and the store reads, else 0."
        ),
        GaugeMetricFamily(
            "probewatch_cases_open",
            "Cases that wait for an auditor; absent while the store is down.",
        ),
    ]


def _card_family() -> InfoMetricFamily:
    return InfoMetricFamily(
        "probewatch_probe_set", "Which probes watch which model: digest, model, fingerprint."
    )


def metrics_page() -> str:
    """`docs/metrics.md`: one row per family."""
    metrics = Metrics(CollectorRegistry(auto_describe=False))
    gateway = [value for value in vars(metrics).values() if hasattr(value, "describe")]
    families = [family for collector in gateway for family in collector.describe()]
    labels = {f.name: getattr(c, "_labelnames", ()) for c in gateway for f in c.describe()}
    families += [*_engine_families(), *_state_families(), _card_family()]
    lines = [
        "# Metrics",
        "",
        "Made by `probewatch settings --metrics`; do not edit. `/metrics` serves these in",
        "Prometheus' text format. Labels are bounded: routes, outcomes, reasons and codes are",
        "closed lists, probes are those of the probe set. No label or value holds text.",
        "",
        "| metric | kind | labels | meaning |",
        "| --- | --- | --- | --- |",
    ]
    suffix = {"counter": "_total", "info": "_info"}
    for family in families:
        name = family.name + suffix.get(family.type, "")
        of = ", ".join(f"`{label}`" for label in labels.get(family.name, ()))
        lines.append(f"| `{name}` | {family.type} | {of} | {family.documentation} |")
    return "\n".join([*lines, "", "## Reasons", "", *_reason_lines()]) + "\n"


def _reason_lines() -> list[str]:
    """The values of label `reason`, with what they mean."""
    return [f"- `{reason.value}`: {reason.told}" for reason in Unscored]
