"""Run a `split` bundle with numpy, Pillow and ONNX Runtime alone.  usage: plain_onnxruntime.py BUNDLE PHOTO"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

folder, photo = Path(sys.argv[1]), sys.argv[2]
manifest = json.loads((folder / "manifest.json").read_text())
size, patch = manifest["preprocessing"]["image_size"], manifest["patch_size"]
graphs = {(graph["role"], step): graph for graph in manifest["subgraphs"] for step in graph["steps"]}
sessions = {graph["path"]: onnxruntime.InferenceSession(folder / graph["path"]) for graph in manifest["subgraphs"]}
last = manifest["steps"]
# The most accurate of the stored thresholds, and of those that tie the cheapest.
best = max(manifest["budgets"], key=lambda point: (point["top1"] or 0, -point["budget"]), default=None)
thresholds = best["thresholds"] if best else [2.0] * last  # without stored thresholds every step is run


def run(role: str, step: int, known: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One subgraph, given what it asks for; outputs called new_... become the next step's inputs."""
    graph = graphs[role, step]
    inputs = {spec["name"]: known.get(spec["name"], np.zeros(spec["shape"], np.float32)) for spec in graph["inputs"]}
    names = [spec["name"] for spec in graph["outputs"]]
    outputs = dict(zip(names, sessions[graph["path"]].run(names, inputs), strict=True))
    return {name.removeprefix("new_"): value for name, value in outputs.items()}


def planes(picture: Image.Image | np.ndarray) -> np.ndarray:
    """RGB pixels as float32 [1,3,H,W], 0 to 255; normalisation is part of the graphs."""
    return np.asarray(picture, np.float32).transpose(2, 0, 1)[None]


def shrink(square: np.ndarray) -> np.ndarray:
    """The glance: bilinear or bicubic with corners aligned, not antialiased, as float32 [1,3,P,P]."""
    cubic = manifest["preprocessing"]["glance_interpolation"] == "bicubic"
    place = np.arange(patch, dtype=np.float32) * np.float32((size - 1) / (patch - 1))
    matrix = np.zeros((patch, size))
    for offset in range(-1, 3):
        source = np.floor(place).astype(int) + offset
        x = np.abs(place - source)
        near, far = (1.25 * x - 2.25) * x * x + 1, ((-0.75 * x + 3.75) * x - 6) * x + 3
        weight = np.where(x <= 1, near, np.where(x < 2, far, 0)) if cubic else np.maximum(1 - x, 0)
        np.add.at(matrix, (np.arange(patch), source.clip(0, size - 1)), weight)
    return (matrix @ planes(square) @ matrix.T).astype(np.float32)


picture = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
shorter, longer = min(picture.size), max(picture.size)
resized = manifest["preprocessing"]["resize_size"]
sides = [resized if side == shorter else int(resized * longer / shorter) for side in picture.size]
picture = picture.resize(sides, Image.Resampling[manifest["preprocessing"]["interpolation"].upper()])
left, top = (round((side - size) / 2) for side in picture.size)
square = np.asarray(picture.crop((left, top, left + size, top + size)))

known = run("glance", 1, {"image": shrink(square)})
for step in range(1, last + 1):
    odds = np.exp(known["logits"][0] - known["logits"].max())
    answer, confidence = int(odds.argmax()), float(odds.max() / odds.sum())
    print(f"step {step}: class {answer}, confidence {confidence:.3f}")
    if step == last or confidence >= thresholds[step - 1]:
        break
    known |= run("policy", step + 1, known)
    row, column = np.floor(known["action"][0] * np.float32(size - patch)).astype(int)
    known |= run("focus", step + 1, {**known, "patch": planes(square[row : row + patch, column : column + patch])})
label = manifest["labels"][answer] if manifest["labels"] else answer
print(f"{photo}: {label} after step {step}")
