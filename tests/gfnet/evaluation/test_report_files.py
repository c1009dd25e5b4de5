from __future__ import annotations

import csv
import dataclasses
import sys

import pytest
from PIL import Image

from gfnet.errors import GFNetError, MissingPackageError
from gfnet.evaluation import evaluate_dataset
from gfnet.evaluation.report import report_evaluation
from gfnet.evaluation.report_files import check_report, write_report_files
from gfnet.files.replacing import RECORD


@pytest.fixture(scope="module")
def report(checkpoint, scenes):
    measured = evaluate_dataset(checkpoint.model, scenes, None, solver="optimal", search_images=30)
    evaluation = measured.evaluation
    return report_evaluation(
        measured.predictions, measured.evaluations, evaluation.budgeted[0], measured.classes, search=measured.search
    )


@pytest.fixture(scope="module")
def folder(report, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    written = write_report_files(folder, report)
    assert sorted([*written, folder / RECORD]) == sorted(folder.iterdir())
    return folder


def rows(folder, name):
    with open(folder / name, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_curve_holds_every_step_and_every_budget_of_both_solvers(report, folder):
    found = rows(folder, "curve.csv")
    assert [row["solver"] for row in found] == ["anytime"] * 3 + ["optimal"] * 39 + ["geometric"] * 39
    assert [float(row["mean_macs"]) for row in found[:3]] == list(report.macs)
    point = report.curves["optimal"].points[7]
    row = found[3 + 7]
    assert float(row["threshold_1"]) == point.thresholds[0]
    assert [float(row[f"exit_share_{i}"]) for i in (1, 2, 3)] == list(point.exit_distribution)
    assert (float(row["top1"]), row["mean_ms"], row["step"]) == (point.top1, "", "")


def test_classes_confusions_and_calibration_count_every_image(report, folder):
    assert sum(int(row["images"]) for row in rows(folder, "classes.csv")) == report.images
    confused = rows(folder, "confusion.csv")
    right = sum(stopped.images * (stopped.top1 or 0) / 100 for stopped in report.exits)
    assert sum(int(row["images"]) for row in confused) == pytest.approx(report.images - right)
    assert all(row["truth"] != row["answer"] and int(row["images"]) > 0 for row in confused)
    assert sum(int(row["images"]) for row in rows(folder, "calibration.csv")) == 3 * report.images


def test_charts_are_pictures_and_the_same_each_time(report, folder, tmp_path):
    write_report_files(tmp_path, report)
    for name in ("curve.png", "calibration.png"):
        assert Image.open(folder / name).size[0] > 500
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


def test_a_report_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(GFNetError, match="is a file"):
        check_report(tmp_path / "file")
    check_report(tmp_path / "new")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackageError, match=r"gfnet\[report\]"):
        check_report(tmp_path / "new")


def test_a_class_called_like_a_formula_is_text_in_every_table(report, tmp_path):
    name = '=HYPERLINK("https://example.org")'
    classes = tuple(dataclasses.replace(row, label=name) for row in report.classes)
    for path in write_report_files(tmp_path, dataclasses.replace(report, classes=classes)):
        if path.suffix == ".csv":
            with path.open(newline="") as stream:
                cells = [cell for row in csv.reader(stream) for cell in row]
            assert not [cell for cell in cells if cell.startswith("=")]
            assert (f"'{name}" in cells) == (path.stem in ("classes", "confusion"))
