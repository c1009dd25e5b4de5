"""Thresholds for the exported network's own confidences."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from gfnet.evaluation import Predictions, evaluate, find_thresholds
from gfnet.files.replacing import note_change
from gfnet.shipped import MANIFEST
from gfnet_export.bundle.reader import Bundle, open_bundle, write_manifest


def retune(bundle: Bundle, confidence: np.ndarray, predicted: np.ndarray, labels: Sequence[int] | None) -> Bundle:
    """Find thresholds anew by the papers' rule, and write them to the manifest in place of the old ones.

    A quantised network is sure in another way than the one that was trained, so thresholds found there let other
    shares of the images go.

    Args:
        confidence: of the exported network after each step, float32 [T, n].
        predicted: its answers, int [T, n].
        labels: right answers; without them the new thresholds carry no accuracy.

    Returns:
        The bundle with its new manifest.

    Raises:
        GFNetError: the manifest cannot be written.
    """
    manifest = bundle.manifest
    truth = np.full(confidence.shape[1], -1) if labels is None else np.asarray(labels)
    predictions = Predictions(confidence, predicted, predicted == truth, truth)
    thresholds, budgets = find_thresholds(predictions, manifest.step_macs)
    found = evaluate(predictions, manifest.step_macs, thresholds, budgets)
    known = labels is not None
    points = [dataclasses.replace(point, top1=point.top1 if known else None) for point in found.budgeted]
    changed = manifest.model_copy(
        update={
            "budgets": tuple(points),
            "anytime_top1": found.anytime_top1 if known else manifest.anytime_top1,
        }
    )
    write_manifest(bundle.folder, changed)
    note_change(bundle.folder, MANIFEST)
    return open_bundle(bundle.folder)
