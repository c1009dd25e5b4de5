"""How good a network is: at every step, and under every budget."""

from __future__ import annotations

from gfnet.evaluation.datasets import DatasetEvaluation, evaluate_dataset
from gfnet.evaluation.predictions import (
    Predictions,
    join_predictions,
    patch_actions,
    predict_all_steps,
    predict_encoders,
    predict_split,
    run_all_steps,
)
from gfnet.evaluation.thresholds import (
    anytime_top1,
    evaluate,
    exit_quotas,
    find_optimal_thresholds,
    find_thresholds,
)

__all__ = [
    "DatasetEvaluation",
    "Predictions",
    "anytime_top1",
    "evaluate",
    "evaluate_dataset",
    "exit_quotas",
    "find_optimal_thresholds",
    "find_thresholds",
    "join_predictions",
    "patch_actions",
    "predict_all_steps",
    "predict_encoders",
    "predict_split",
    "run_all_steps",
]
