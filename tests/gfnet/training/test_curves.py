from __future__ import annotations

import json

from PIL import Image

from gfnet.training.curves import draw_curves


def line(event, stage, iteration, **values):
    return {"event": event, "stage": stage, "iteration": iteration, **values}


def draw(lines, folder):
    (folder / "metrics.jsonl").write_text("".join(json.dumps(values) + "\n" for values in lines))
    draw_curves(folder / "metrics.jsonl", folder / "curves.png")
    with Image.open(folder / "curves.png") as picture:
        return picture.size


def test_rewards_get_a_panel_once_there_are_some(tmp_path):
    lines = [
        line("training", 0, 10, loss=4.0, top1=[10.0, 12.0]),
        line("validation", 0, 10, top1=[11.0, 13.0]),
        line("training", 0, 20, loss=3.5, top1=[20.0, 22.0]),
    ]
    width, without = draw(lines, tmp_path)
    lines.append(line("training", 2, 30, loss=0.5, top1=[30.0, 31.0, 32.0], rewards=[0.1, 0.2]))
    assert draw(lines, tmp_path) == (width, without * 3 // 2)


def test_a_run_that_has_only_been_validated_is_no_error(tmp_path):
    draw([line("validation", 0, 10, top1=[11.0, 13.0])], tmp_path)
