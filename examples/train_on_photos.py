"""Train a small network on PHOTOS/{train,val}/<class>/.  usage: train_on_photos.py PHOTOS RUN"""

import sys
from pathlib import Path

from gfnet.training.launch import launch

photos, run = sys.argv[1:3]
options = {
    "data": photos,
    # For a real network: mobilenetv3_large_100, patches of 96 pixels, images of 224 pixels.
    "model": {"arch": "test_resnet", "patch_size": 40, "image_size": 120, "crop_ratio": 1.0, "steps": 3},
    # Epochs of the four stages.  A real network needs more of them.
    "recipe": {"epochs": [1, 1, 1, 1], "batch_size": 16, "augmentation": "flip"},
}
checkpoint, _ = launch(Path(run), options, resume=True)  # goes on with a run that was stopped
for step, accuracy in enumerate(checkpoint.evaluation.anytime_top1 if checkpoint.evaluation else (), 1):
    print(f"accuracy if every photo stops after step {step}: {accuracy:.1f} %")
print(f"saved {Path(run) / 'model.safetensors'}")
