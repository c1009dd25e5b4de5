"""Writes what the Swift tests compare with: values of the geometry, rules of photos, a network's decisions.

    python make_fixtures.py                                  # geometry.json, photos.json
    python make_fixtures.py --bundle BUNDLE --photos FOLDER  # besides the recording of a bundle on some photos

The recording is of ``gfnet demo``'s network; none of its photos is kept.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gfnet.config import Interpolation
from gfnet.errors import ImageError
from gfnet.files.formats import IMAGE_SUFFIXES
from gfnet.inference.exits import check_thresholds, choose_point, default_point
from gfnet.inference.geometry import resize_glance
from gfnet.inference.images import check_size, find_images
from gfnet.inference.traces import Trace, label_of
from gfnet_export.runtime.onnx_runtime import bundle_predictor

FIXTURES = Path(__file__).parent / "GFNetKitTests" / "Fixtures"
PHOTOS = 24
GIVEN_THRESHOLDS = ([0.5, 0.5], [0.0, 0.9], [0.9, 0.0, 0.3], [0.2, 0.15])
RESIZES: tuple[tuple[int, int, Interpolation, tuple[int, ...]], ...] = (
    (24, 10, "bicubic", tuple(range(10))),
    (24, 10, "bilinear", tuple(range(10))),
    (120, 40, "bicubic", (0, 1, 19, 38, 39)),
    (120, 40, "bilinear", (0, 20, 39)),
    (96, 95, "bicubic", (0, 47, 94)),
    (10, 24, "bicubic", (0, 11, 23)),  # larger
    (7, 1, "bicubic", (0,)),
    (1, 3, "bilinear", (0, 1, 2)),
)
"""Side of the square, side of the glance, interpolation, and the rows of the glance that are kept."""

SIZES = (
    *((1, 1), (1, 64), (64, 1), (17, 300), (300, 17), (3, 192), (640, 10), (57, 31), (224, 224), (333, 500)),
    *((3024, 4032), (6048, 8064), (12_240, 14_620), (10, 17_895_697), (13_377, 13_377), (106_974, 1672)),
    *((0, 0), (0, 5), (5, 0), (1, 65), (65, 1), (3, 193), (641, 10), (1, 10_000), (13_378, 13_378), (65_535, 65_535)),
)
"""Width and height of photos; those that are read, and those that are refused."""


def picture(side: int) -> np.ndarray:
    """Pixels uint8 [S,S,3] that change wildly; the Swift tests compute the same."""
    row, column, channel = np.ogrid[:side, :side, :3]
    return ((7 * row * row + 13 * column * column + 3 * row * column + 31 * row + 97 * channel) % 256).astype(np.uint8)


def geometry() -> dict[str, Any]:
    """Glances of :func:`picture`, as the Python side makes them."""
    cases = []
    for image_size, patch_size, interpolation, rows in RESIZES:
        glance = resize_glance(picture(image_size), patch_size, interpolation)
        values = [round(float(value), 5) for value in glance[list(rows)].ravel()]  # [rows,P,3]
        cases.append(
            {
                "image_size": image_size,
                "patch_size": patch_size,
                "interpolation": interpolation,
                "rows": rows,
                "values": values,
            }
        )
    return {"resize": cases}


def photos() -> dict[str, Any]:
    """Which photos are read: by the ends of their names, and by their size."""

    def accepted(width: int, height: int) -> bool:
        try:
            check_size(width, height, "photo")
        except ImageError:
            return False
        return True

    sizes = [{"width": width, "height": height, "accepted": accepted(width, height)} for width, height in SIZES]
    return {"suffixes": sorted(suffix.removeprefix(".") for suffix in IMAGE_SUFFIXES), "sizes": sizes}


def shortest(value: float) -> float:
    """The number of fewest digits that is the same in single precision."""
    return float(str(np.float32(value)))


def recorded(traces: Iterable[Trace], labels: tuple[str, ...] | None) -> list[dict[str, Any]]:
    """Traces as ``gfnet predict --logits --json`` writes them, without digits that a ``Float`` does not have."""
    content = [trace.to_dict(labels, logits=True) for trace in traces]
    for trace in content:
        trace["confidence"] = shortest(trace["confidence"])
        for step in trace["steps"]:
            step["confidence"] = shortest(step["confidence"])
            step["logits"] = [shortest(value) for value in step["logits"]]
            step["action"] = step["action"] and [shortest(value) for value in step["action"]]
    return content


def decisions(predictor: Any, photos: list[Path]) -> list[dict[str, Any]]:
    """What Python decides on the photos under several rules."""
    points = predictor.points
    budgets = [points[index].budget for index in np.linspace(0, len(points) - 1, 6).astype(int)]
    budgets += [(points[3].budget + points[4].budget) / 2, points[-1].budget * 1.00005]
    rules: list[tuple[dict[str, Any], Any]] = [({"budget": value}, choose_point(points, value)) for value in budgets]
    rules.append(({"most_accurate": True}, default_point(points)))
    chosen = [(rule, point.thresholds) for rule, point in rules]
    chosen += [({"thresholds": given}, check_thresholds(given, predictor.runner.steps)) for given in GIVEN_THRESHOLDS]
    return [
        {
            "rule": rule,
            "chosen": list(thresholds),
            "images": [
                {
                    "exit_step": trace.exit_step,
                    "class_index": trace.class_index,
                    "label": label_of(trace.class_index, predictor.labels),
                    "confidence": shortest(trace.confidence),
                    "origins": [step.origin for step in trace.steps[1:]],
                }
                for trace in predictor(photos, thresholds)
            ],
        }
        for rule, thresholds in chosen
    ]


def record(bundle: Path, folder: Path) -> None:
    """Write the recording of a bundle: its manifest, its traces on some photos, and its decisions there."""
    found = find_images([folder])
    photos = [found[index] for index in np.linspace(0, len(found) - 1, PHOTOS).astype(int)]
    predictor = bundle_predictor(bundle)
    traces = recorded(predictor(photos), predictor.labels)
    for trace, photo in zip(traces, photos, strict=True):
        trace["image"] = photo.relative_to(folder).as_posix()
    shutil.copyfile(bundle / "manifest.json", FIXTURES / "manifest.json")
    write("traces.json", traces)
    write("decisions.json", decisions(predictor, photos))


def text_of(content: Any) -> str:
    """JSON with one line for each item of a list of records."""
    if isinstance(content, list):
        return "[\n" + ",\n".join(json.dumps(item) for item in content) + "\n]\n"
    return json.dumps(content) + "\n"


def write(name: str, content: Any) -> None:
    """Write one fixture."""
    (FIXTURES / name).write_text(text_of(content))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="an ONNX bundle with stored thresholds")
    parser.add_argument("--photos", type=Path, help="a folder of photos")
    options = parser.parse_args()
    if (options.bundle is None) != (options.photos is None):
        parser.error("--bundle and --photos belong together")
    write("geometry.json", geometry())
    write("photos.json", photos())
    if options.bundle is not None:
        record(options.bundle, options.photos)
