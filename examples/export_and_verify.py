"""Export a checkpoint to ONNX and compare the decisions.  usage: export_and_verify.py CHECKPOINT OUT PHOTOS"""

import sys

import gfnet
from gfnet.inference.images import Preprocessing, find_images, load_image
from gfnet_export.onnx.bundle import export_onnx
from gfnet_export.verify.verification import verify

source, out, photos = sys.argv[1:4]
checkpoint = gfnet.load_checkpoint(source)
bundle = export_onnx(checkpoint, out)
square = Preprocessing.of(checkpoint.model.config)
found = verify(bundle, checkpoint, [square(load_image(path)) for path in find_images([photos])])
for decisions in found.decisions:
    print(f"{decisions.runtime}: same exit {decisions.same_exit:.1%}, same answer {decisions.same_label:.1%}")
print(found.outcome)  # passed, failed, or undecided if there are too few photos to tell
sys.exit(found.outcome == "failed")
