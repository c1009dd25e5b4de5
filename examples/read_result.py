"""Say what a measured run found.  usage: read_result.py RESULT.json, as `gfnet bench onnx --json` writes it"""

import sys

from gfnet.results.files import read_result

result = read_result(sys.argv[1])
print(f"{result.machine.device}, {result.runtime.name} {result.runtime.version}")
for subject in result.subjects:
    loop = subject.loop
    ratio = (
        f", {loop.ratio.value:.2f} ({loop.ratio.low:.2f} to {loop.ratio.high:.2f}) of the reference"
        if loop.ratio
        else ""
    )
    print(f"{subject.name}: {loop.typical_ms:.2f} ms an image{ratio}")
for doubt in result.unreliable:
    print(f"not to be relied on: {doubt}")
