"""Say what a measured run found.  usage: read_result.py RESULT.json, as `gfnet bench onnx --json` writes it"""

import sys

from gfnet.results.files import read_result

result = read_result(sys.argv[1])
print(f"{result.machine.device}, {result.machine.os}")
for subject in result.subjects:
    loop = subject.loop
    print(f"{subject.name} on {subject.runtime.name}: {loop.typical_ms:.2f} ms for each image")
    if loop.ratio:  # to a classifier of the whole image, with its 95 % interval
        print(f"  {loop.ratio.value:.2f} times a classifier's time ({loop.ratio.low:.2f} to {loop.ratio.high:.2f})")
for doubt in result.unreliable:
    print(f"not to be relied on: {doubt}")
