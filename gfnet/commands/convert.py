"""The command ``gfnet convert``."""

from __future__ import annotations

from pathlib import Path

import click

from gfnet.cli import OutputFile, json_option, official_options, refuse_unless, write_result
from gfnet.console.output import say
from gfnet.console.parameters import CheckpointFile
from gfnet.errors import ConfigError


@click.command()
@click.argument("checkpoint", type=CheckpointFile(path_type=Path))
@click.argument("out", type=OutputFile())
@click.option("--prefix/--no-prefix", default=True, help="Write `module.` before encoder keys, as released files do.")
@click.option("--half", is_flag=True, help="Store weights as float16: half the size, read as float32 again.")
@official_options
@json_option
def convert(
    checkpoint: Path,
    out: Path,
    prefix: bool,
    half: bool,
    arch: str | None,
    patch_size: int | None,
    steps: int | None,
    json_path: Path | None,
) -> None:
    """Rewrite a checkpoint: OUT ending in .safetensors, or in .pth.tar for the official layout."""
    from gfnet.checkpoint import load_checkpoint, save_checkpoint, save_official

    if not out.name.endswith((".safetensors", ".pth.tar")):
        raise ConfigError(f"{out}: name the new file .safetensors or .pth.tar")
    refuse_unless(out.name.endswith(".pth.tar"), "to a new file in the official layout, .pth.tar", "prefix")
    loaded = load_checkpoint(checkpoint, arch=arch, patch_size=patch_size, steps=steps)
    if out.name.endswith(".safetensors"):
        save_checkpoint(out, loaded, half=half)
    elif half:
        raise ConfigError(f"{out}: the official layout is float32; --half needs a file named .safetensors")
    else:
        save_official(out, loaded, prefix=prefix)
        if loaded.labels is not None and loaded.model.config.num_classes != 1000:
            say("note: the official layout has no place for class names", err=True)
    say(f"{out}  {out.stat().st_size / 1e6:.1f} MB")
    write_result(json_path, {"checkpoint": str(out), "bytes": out.stat().st_size})
