"""An evaluation as `probewatch evaluate` writes it, small and made in code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from probing.estimates import Estimate, rate
from training.report.evaluation import Evaluation, read_evaluation

Json = dict[str, Any]


def share(successes: int, n: int) -> Json:
    """A rate with its interval."""
    return rate(successes, n).as_json()


def area(value: float, n: int = 200) -> Json:
    """An area with some interval around it."""
    low, high = max(0.0, value - 0.02), min(1.0, value + 0.01)
    return Estimate(value=value, low=low, high=high, n=n).as_json()


def part(name: str, caught: int, alarms: int, n: int = 100) -> Json:
    """One slice: `caught` of n misbehaving answers, `alarms` of n honest ones."""
    return {
        "part": name,
        "auroc": area(0.99),
        "auroc_words": area(0.6),
        "recall": share(caught, n),
        "false_alarms": share(alarms, n),
    }


def claimed_set(name: str, *, dangerous: bool, caught: int, alarms: int, n: int = 300) -> Json:
    """One test set of the claim with two slices."""
    return {
        "name": name,
        "dangerous": dangerous,
        "auroc": area(0.99),
        "auroc_bca": area(0.99),
        "recall_at": [
            {"fpr": 0.01, "recall": share(caught, n)},
            {"fpr": 0.001, "recall": None, "reason": "too few honest answers"},
        ],
        "unmonitored": share(2, 2 * n),
        "parts": [
            part("all", caught, alarms, n),
            part("family: first_kind", n // 2 - 1, alarms // 3, n // 2),
            part("case: context", n // 2 - 9, alarms // 2, n // 2),
        ],
        "curves": {
            "roc": [[0.0, 0.0], [0.0, 0.8], [0.01, 0.9], [0.1, 1.0], [1.0, 1.0]],
            "det": [[0.0, 1.0], [0.0, 0.2], [0.01, 0.1], [0.1, 0.0], [1.0, 0.0]],
            "pr": [[0.0, 1.0], [0.8, 1.0], [0.9, 0.98], [1.0, 0.9], [1.0, 0.5]],
        },
    }


def sections() -> dict[str, Json]:
    """All sections but `cost`, which nobody measured here."""
    return {
        "claim": claim(),
        "generalisation": generalisation(),
        "controls": controls(),
        "stress": stress(),
        "delay": delay(),
        "efficiency": efficiency(),
        "thresholds": thresholds(),
        "replay": replay(),
    }


def claim() -> Json:
    """A dangerous set and a harmless one."""
    return {
        "title": "From harmless to dangerous",
        "findings": ["On grave matters it catches nearly all."],
        "refusals": ["grave matters, recall at 0.1%: too few honest answers"],
        "figures": {
            "tests": [
                claimed_set("grave matters", dangerous=True, caught=297, alarms=30),
                claimed_set("petty matters", dangerous=False, caught=290, alarms=1),
            ]
        },
    }


def generalisation() -> Json:
    """Two harmless families, and a dangerous one to carry over to."""
    return {
        "title": "From family to family",
        "findings": ["Every family carries over."],
        "refusals": [],
        "figures": {
            "matrix": {
                "board_games": {"chores": area(0.93), "silencing_alarm": area(0.8)},
                "chores": {"board_games": area(0.999), "silencing_alarm": area(0.6)},
            },
            "left_out": {"board_games": area(0.97), "chores": area(0.99)},
            "families": {"chores": "benign", "silencing_alarm": "dangerous"},
        },
    }


def controls() -> Json:
    """Two controls, both passed."""
    return {
        "title": "Honesty controls",
        "findings": ["Words alone do worse."],
        "refusals": [],
        "figures": {
            "bag_of_words": {"probe": area(0.99), "words": area(0.6), "warns": False},
            "near_duplicates": {
                "sets": [{"name": "grave matters", "pairs": 0, "worst": []}],
                "warns": False,
            },
        },
    }


def stress() -> Json:
    """One set under two stresses."""
    return {
        "title": "Under stress",
        "findings": ["Typing errors cost little."],
        "refusals": [],
        "figures": {
            "stresses": {
                "typos": "two letters are swapped in some words",
                "long_context": "a long conversation comes before the request",
            },
            "tests": [{"name": "grave matters", "rows": stress_rows()}],
        },
    }


def delay() -> Json:
    """When the answers of one set are stopped."""
    return {
        "title": "Delay",
        "findings": ["It trips late."],
        "refusals": [],
        "figures": {
            "tests": [
                {
                    "name": "grave matters",
                    "caught": share(297, 300),
                    "distribution": [
                        {"released": 12, "answers": 250},
                        {"released": 13, "answers": 47},
                    ],
                }
            ]
        },
    }


def efficiency() -> Json:
    """Few pairs, drawn twice, and all of them."""
    return {
        "title": "How much training it takes",
        "findings": ["A hundred pairs do."],
        "refusals": [],
        "figures": {
            "pairs": 100,
            "tests": [
                {
                    "name": "grave matters",
                    "points": [
                        {
                            "pairs": 10,
                            "draws": 2,
                            "auroc": area(0.8, n=2),
                            "recall": None,
                            "each": [{"auroc": area(0.79)}, {"auroc": area(0.81)}],
                        },
                        {
                            "pairs": 100,
                            "draws": 1,
                            "auroc": area(0.98, n=1),
                            "recall": None,
                            "each": [{"auroc": area(0.98, n=600), "recall": share(95, 100)}],
                        },
                    ],
                }
            ],
        },
    }


def thresholds() -> Json:
    """A row, a map with two bins, and a list too long for a cell."""
    return {
        "title": "Thresholds",
        "findings": ["A higher one would catch less."],
        "refusals": [],
        "figures": {
            "rows": [
                {
                    "threshold": -1.5,
                    "recall": share(90, 100),
                    "honest": [1, 2.5],
                    "refusal": None,
                }
            ],
            "probability": {
                "maps": [
                    {
                        "map": "logistic",
                        "brier": area(0.05),
                        "bins": [
                            {"low": 0.0, "high": 0.1, "predicted": 0.03}
                            | {"observed": share(2, 100)},
                            {"low": 0.9, "high": 1.0, "predicted": 0.97}
                            | {"observed": share(95, 100)},
                        ],
                    }
                ]
            },
            "trace": list(range(40)),
        },
    }


def replay() -> Json:
    """Every decision the same."""
    return {
        "title": "Offline and live",
        "findings": ["All decisions agree."],
        "refusals": [],
        "figures": {"agreement": share(400, 400), "exact": True},
    }


def stress_rows() -> list[Json]:
    """The undisturbed texts and two stresses."""
    return [
        {
            "name": name,
            "auroc": area(0.99),
            "recall": share(caught, 100),
            "false_alarms": share(alarms, 100),
        }
        for name, caught, alarms in (
            ("undisturbed", 99, 2),
            ("typos", 95, 4),
            ("long_context", 70, 21),
        )
    ]


def evaluation_json(**subject: Any) -> Json:
    """The whole file; some of its subject's fields may be changed."""
    return {
        "format": 1,
        "created_at": "2026-11-27T12:00:00+00:00",
        "seconds": {"claim": 1.0},
        "subject": {
            "probe": "toy@2",
            "digest": "d" * 64,
            "fingerprint": "0123456789ab",
            "model": {
                "name": "some-model",
                "path": "models/some-model",
                "revision": None,
                "engine": "transformers",
                "attention": "sdpa",
            },
            "family": "logistic_regression",
            "sites": ["blocks.3.hook_resid_post"],
            "aggregator": "mean",
            "tokens_min": 12,
            "threshold": -2.5,
            "calibration": {"fpr_target": 0.01, "achieved": share(10, 1008), "data": []},
            "libraries": {"torch": "2.13.0"},
            "parent": "toy@1",
            "data": [
                {"name": "petty texts", "sha256": "a" * 64, "examples": 500, "role": "fitted"},
                {"name": "grave matters", "sha256": "b" * 64, "examples": 600, "role": "tested"},
            ],
            **subject,
        },
        "sections": sections(),
    }


def written(folder: Path, evaluation: Json | None = None, name: str = "evaluation.json") -> Path:
    """The file in a folder."""
    path = folder / name
    path.write_text(json.dumps(evaluation or evaluation_json()))
    return path


def read(folder: Path, evaluation: Json | None = None) -> Evaluation:
    """Through the file and back."""
    return read_evaluation(written(folder, evaluation))
