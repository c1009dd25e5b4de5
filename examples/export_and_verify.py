"""Export a checkpoint as ONNX files and compare their decisions.  usage: export_and_verify.py CHECKPOINT OUT PHOTOS"""

import sys

import gfnet
from gfnet.inference.images import Preprocessing, find_images, load_image
from gfnet_export.onnx.bundle import export_onnx
from gfnet_export.verify.verification import verify

checkpoint_file, out, photos = sys.argv[1:4]
checkpoint = gfnet.load_checkpoint(checkpoint_file)
bundle = export_onnx(checkpoint, out)
square = Preprocessing.of(checkpoint.model.config)
found = verify(bundle, checkpoint, [square(load_image(path)) for path in find_images([photos])])
for decisions in found.decisions:
    print(f"{decisions.runtime}: same exit {decisions.same_exit:.1%}, same answer {decisions.same_label:.1%}")
sys.exit(1 if found.failures else 0)
