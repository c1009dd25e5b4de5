"""``gfnet bench onnx``: a bundle on ONNX Runtime, one image at a time, beside its baseline."""

from __future__ import annotations

import platform
import subprocess
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort

from gfnet.adaptive import classify
from gfnet.errors import DataError, ImageError
from gfnet.images import load_image
from gfnet.measurement import Loop, Machine, Result, SubgraphTiming
from gfnet.predictor import Predictor
from gfnet.progress import Progress
from gfnet_benchmark.timing import Clock, Stopwatch, median_ratio, round_means, summarise
from gfnet_export import names
from gfnet_export.bundle import MANIFEST, Bundle, sha256_of
from gfnet_export.manifest import Manifest
from gfnet_export.runner import BundleRunner, Session, predictor_over
from gfnet_export.runtime import OnnxRunner, open_bundle_sessions, open_session

_LOOP, _BASELINE = "adaptive loop", "baseline"


def bench_onnx(
    bundle: Bundle,
    images: Sequence[Path],
    *,
    thresholds: Sequence[float] | None,
    rounds: int = 5,
    warmup_rounds: int = 1,
    threads: int = 1,
    clock: Clock = time.perf_counter,
) -> Result:
    """Measure every subgraph, the adaptive loop, and the baseline on the same images.

    A round takes every image once; for each image the loop, all subgraphs in turn and the baseline run
    one after another, so a slow moment of the machine hits all alike.  Images are decoded and
    preprocessed beforehand.

    Args:
        images: photos to classify.
        thresholds: T exit thresholds; ``None`` runs all steps.
        rounds: measured rounds.
        warmup_rounds: rounds before them that are not counted.
        threads: inside an operator.

    Raises:
        DataError: no image can be read.
        BundleError: the bundle is no ONNX bundle.
    """
    if rounds < 1 or warmup_rounds < 0:
        raise DataError(f"{rounds} rounds after {warmup_rounds} of warm-up: use 1 or more, after 0 or more")
    watch, loads = Stopwatch(clock), Stopwatch(clock)
    sessions = open_bundle_sessions(
        bundle,
        threads=threads,
        open_file=lambda path, threads: loads.time(path.stem, lambda: open_session(path, threads)),
    )
    runner = OnnxRunner(bundle.manifest, sessions)
    predictor = predictor_over(bundle.manifest, runner)
    timed_runner = BundleRunner(
        bundle.manifest, {name: _TimedSession(session, name, watch) for name, session in sessions.items()}
    )
    pixels, unreadable, preprocessing_s = _prepare(predictor, images, clock)
    baseline = _baseline_session(bundle.manifest, threads, clock)
    exits = np.zeros(bundle.manifest.steps, int)
    firsts: dict[str, float] = {}
    with Progress("bench", (warmup_rounds + rounds) * len(pixels), "images") as progress:
        for round_index in range(-warmup_rounds, rounds):
            if round_index == 0:
                firsts = {name: values[0] for name, values in watch.samples.items()}
                watch.clear()
                exits[:] = 0
            for square in pixels:
                traces = watch.time(_LOOP, partial(classify, runner, square[None], thresholds, [""]))
                exits[traces[0].exit_step - 1] += 1
                classify(timed_runner, square[None], None, [""])
                if baseline is not None:
                    planes = np.ascontiguousarray(square.transpose(2, 0, 1)[None], np.float32)
                    watch.time(_BASELINE, partial(baseline[0].run, [names.LOGITS], {names.IMAGE: planes}))
                progress.advance()
    firsts = firsts or {name: values[0] for name, values in watch.samples.items()}

    def timing(name: str, role, load_s: float) -> SubgraphTiming:
        return SubgraphTiming(
            name=name,
            role=role,
            load_ms=1e3 * load_s,
            first_run_ms=1e3 * firsts[name],
            steady=summarise(watch.samples[name]),
        )

    loop_means = round_means(watch.samples, _LOOP, len(pixels))
    ratio = None
    if baseline is not None:
        ratio = median_ratio(loop_means, round_means(watch.samples, _BASELINE, len(pixels)))
    manifest = bundle.manifest
    return Result(
        network=f"{manifest.architecture}_p{manifest.patch_size}_T{manifest.steps}",
        precision=manifest.precision,
        bundle_sha256=sha256_of(bundle.folder / MANIFEST),
        revision=_revision(bundle.folder),
        machine=_machine(threads),
        images=len(pixels),
        unreadable=tuple(unreadable),
        rounds=rounds,
        warmup_rounds=warmup_rounds,
        subgraphs=tuple(timing(graph.name, graph.role, loads.samples[graph.name][0]) for graph in manifest.subgraphs),
        baseline=timing(_BASELINE, "baseline", baseline[1]) if baseline is not None else None,
        loop=Loop(
            thresholds=None if thresholds is None else tuple(thresholds),
            exit_distribution=tuple(float(v) for v in exits / exits.sum()),
            latency=summarise(watch.samples[_LOOP]),
            images_per_second=1 / (preprocessing_s / len(pixels) + float(np.mean(watch.samples[_LOOP]))),
            ratio_to_baseline=ratio,
        ),
    )


def _prepare(predictor: Predictor, images: Sequence[Path], clock: Clock) -> tuple[list[np.ndarray], list[str], float]:
    """Squares, messages for what cannot be read, and the seconds that decoding and preprocessing took."""
    pixels, unreadable = [], []
    start = clock()
    for path in images:
        try:
            pixels.append(predictor.preprocessing(load_image(path)))
        except ImageError as error:
            unreadable.append(str(error))
    if not pixels:
        raise DataError(f"none of {len(images)} images could be read; the first: {unreadable[0]}")
    return pixels, unreadable, clock() - start


class _TimedSession:
    """An ONNX Runtime session whose runs a stopwatch sees, without the crop and resize around them."""

    def __init__(self, session: Session, name: str, watch: Stopwatch) -> None:
        self.session, self.name, self.watch = session, name, watch

    def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        return self.watch.time(self.name, lambda: self.session.run(outputs, inputs))


def _baseline_session(manifest: Manifest, threads: int, clock: Clock) -> tuple[ort.InferenceSession, float] | None:
    """The same backbone on the full image and its load time; ``None`` where torch is not installed.

    Its weights are random: latency does not depend on them.
    """
    try:
        from gfnet.backbones import create_encoder
        from gfnet.config import model_config
        from gfnet_export.components import baseline_component
        from gfnet_export.onnx_export import write_onnx
    except ImportError:
        return None
    size = manifest.preprocessing.image_size
    config = model_config(manifest.architecture, size, 1, num_classes=manifest.num_classes, image_size=size)
    encoder = create_encoder(config.arch, config.num_classes, size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "baseline.onnx"
        write_onnx(baseline_component(encoder, config), path)
        start = clock()
        return open_session(path, threads), clock() - start


def _machine(threads: int) -> Machine:
    return Machine(
        device=_processor(),
        os=f"{platform.system()} {platform.release()}",
        runtime=f"ONNX Runtime {ort.__version__}",
        compute_units="CPU",
        threads=threads,
    )


def _processor() -> str:
    """The processor's name as the system knows it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _revision(folder: Path) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def result_table(result: Result) -> str:
    """A result as lines of text."""
    rows: list[tuple[str, ...]] = [("", "median", "p90", "p99", "load", "first run")]
    graphs = [*result.subgraphs, *([result.baseline] if result.baseline else [])]
    for graph in graphs:
        steady = graph.steady
        rows.append(
            (
                graph.name,
                *(f"{v:.3f}" for v in (steady.median_ms, steady.p90_ms, steady.p99_ms)),
                f"{graph.load_ms:.1f}",
                f"{graph.first_run_ms:.2f}",
            )
        )
    latency = result.loop.latency
    rows.append(("adaptive loop", *(f"{v:.3f}" for v in (latency.median_ms, latency.p90_ms, latency.p99_ms)), "", ""))
    lines = [f"{name:<14}" + "".join(f"{cell:>11}" for cell in cells) for name, *cells in rows]
    exits = "  ".join(f"step {i}: {100 * v:.1f} %" for i, v in enumerate(result.loop.exit_distribution, start=1))
    lines += [
        "(milliseconds, one image at a time)",
        "",
        f"{result.machine.device}, {result.machine.runtime}, {result.machine.threads} thread(s)",
        f"{result.images} images, {result.rounds} rounds after {result.warmup_rounds} of warm-up",
        f"exits          {exits}",
        f"mean latency   {latency.mean_ms:.3f} ms, {result.loop.images_per_second:.1f} images/s with decoding",
    ]
    if result.baseline is not None and result.loop.ratio_to_baseline is not None:
        lines.append(
            f"baseline       {result.baseline.steady.mean_ms:.3f} ms; "
            f"adaptive / baseline = {result.loop.ratio_to_baseline:.3f}"
        )
    else:
        lines.append("baseline       not measured: it needs torch and timm (`pip install gfnet[onnx]`)")
    return "\n".join(lines)
