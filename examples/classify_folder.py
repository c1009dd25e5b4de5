"""Classify photos, and say where the network looked.  usage: classify_folder.py NETWORK PHOTO_OR_FOLDER..."""

import sys

import gfnet
from gfnet.inference.exits import resolve_thresholds
from gfnet.inference.images import find_images

network, *sources = sys.argv[1:]
predictor = gfnet.load(network)  # a bundle, a checkpoint, or the name of a network in the package
thresholds = resolve_thresholds(predictor.points, predictor.runner.steps)  # the most accurate of those stored with it
for trace in predictor(find_images(sources), thresholds):
    label = predictor.labels[trace.class_index] if predictor.labels else trace.class_index
    patches = [step.origin for step in trace.steps if step.origin is not None]
    print(f"{trace.image}: {label} ({trace.confidence:.0%}) after step {trace.exit_step}, patches at {patches}")
