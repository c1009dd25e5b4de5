from __future__ import annotations

import json

import pytest

from gfnet.commands.summary import (
    checkpoint_table,
    describe_checkpoint,
    evaluation_result,
    evaluation_table,
    report_table,
)
from gfnet.evaluation import evaluate_dataset
from gfnet.evaluation.report import report_evaluation
from gfnet.inference.exits import default_point
from gfnet.network.cost import cumulative_macs


def report_on(checkpoint, scenes, **options):
    measured = evaluate_dataset(checkpoint.model, scenes, checkpoint.evaluation, **options)
    return report_evaluation(
        measured.predictions,
        measured.evaluations,
        default_point(measured.evaluation.budgeted),
        measured.classes,
        search=measured.search,
        step_ms=options.get("step_ms"),
    )


def test_everything_stored_can_be_shown(checkpoint):
    table = evaluation_table(checkpoint.evaluation, every_budget=True)
    assert len(table.splitlines()) == 1 + 3 + 2 + 39
    assert f"{checkpoint.evaluation.budgeted[20].thresholds[0]:.4f}" in table
    assert len(evaluation_table(checkpoint.evaluation).splitlines()) == 1 + 3 + 2 + 8


def test_a_recipe_that_is_stored_is_told(checkpoint):
    summary = describe_checkpoint(checkpoint, cumulative_macs(checkpoint.model))
    assert summary["recipe"] is None
    assert "recipe" not in checkpoint_table(summary)
    recipe = {"stages": [0, 1], "recipe": {"ppo": {"lr": 0.001}, "freeze_bn": False, "clip_grad_norm": None}}
    told = [line.split(maxsplit=1) for line in checkpoint_table({**summary, "recipe": recipe}).splitlines()]
    assert ["stages", "0, 1"] in told
    assert ["recipe.ppo.lr", "0.001"] in told
    assert ["recipe.freeze_bn", "no"] in told
    assert ["recipe.clip_grad_norm", "none"] in told


def test_the_table_tells_every_measure_and_no_dense_matrix(checkpoint, scenes):
    report = report_on(checkpoint, scenes, thresholds="saved")
    table = report_table(report)
    for words in ("top-5", "ECE", "saved thresholds", "images stop at step 3", "least accurate", "most confused"):
        assert words in table
    assert f"{report.steps[1].calibration_error:5.2f} %" in table
    assert " ms" not in table
    assert len(table.splitlines()) < 25


def test_milliseconds_are_told_where_they_were_measured(checkpoint, scenes):
    report = report_on(checkpoint, scenes, thresholds="saved", step_ms=(1.5, 2.5, 3.5))
    table = report_table(report)
    assert " ms " in table
    assert "2.500" in table
    assert evaluation_result(report)["step_ms"] == [1.5, 2.5, 3.5]


def test_the_json_holds_both_solvers_and_is_plain(checkpoint, scenes):
    result = json.loads(json.dumps(evaluation_result(report_on(checkpoint, scenes, solver="optimal")), allow_nan=False))
    assert (result["solver"], list(result["other_solvers"])) == ("optimal", ["geometric"])
    assert len(result["budgeted"]) == len(result["other_solvers"]["geometric"]) == 39
    assert len(result["calibration"]) == 3
    assert len(result["calibration"][0]) == 15
    assert sum(stopped["images"] for stopped in result["exits"]) == result["images"] == 40
    assert sum(row["images"] for row in result["per_class"]) == 40
    assert result["budgeted"][0]["mean_ms"] is None
    assert 0 <= result["budgeted"][0]["top5"] <= 100
    assert result["chosen"]["top1"] == pytest.approx(sum(s["images"] * (s["top1"] or 0) for s in result["exits"]) / 40)
