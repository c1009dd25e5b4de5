"""Answer many requests at once without blocking the event loop.  usage: serve.py BUNDLE PHOTO..."""

import asyncio
import sys

import gfnet
from gfnet.inference.exits import resolve_thresholds
from gfnet_export.runtime.serving import AsyncClassifier


async def main(network: str, photos: list[str]) -> None:
    """Classify all photos at once; each stops where the network is sure enough."""
    predictor = gfnet.load(network)
    thresholds = resolve_thresholds(predictor.points, predictor.runner.steps)
    async with AsyncClassifier(predictor.runner, predictor.preprocessing) as classify:
        for trace in await asyncio.gather(*(classify(photo, thresholds, name=photo) for photo in photos)):
            print(f"{trace.image}: class {trace.class_index} after step {trace.exit_step}")


asyncio.run(main(sys.argv[1], sys.argv[2:]))
