"""Train a small network on photos/{train,val}/<class>/.  usage: train_on_photos.py PHOTOS RUN"""

import sys
from pathlib import Path

from gfnet.training.launch import launch

photos, run = sys.argv[1:3]
options = {
    "data": photos,
    "model": {"arch": "test_resnet", "patch_size": 40, "image_size": 120, "crop_ratio": 1.0, "steps": 3},
    # Of stages 0 to 3.  A real network needs more epochs, and a backbone such as mobilenetv3_large_100.
    "recipe": {"epochs": [1, 1, 1, 1], "batch_size": 16, "augmentation": "flip"},
}
checkpoint, finished = launch(Path(run), options, resume=True)  # goes on with a run that was stopped
print("finished" if finished else "stopped; run this again to go on")
for step, accuracy in enumerate(checkpoint.evaluation.anytime_top1 if checkpoint.evaluation else (), 1):
    print(f"top-1 accuracy after step {step}: {accuracy:.1f} %")
