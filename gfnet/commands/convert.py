"""The command ``gfnet convert``."""

from __future__ import annotations

from pathlib import Path

import click

from gfnet.commands.options import OutputFile, examples, json_option, official_options, refuse_unless, write_result
from gfnet.commands.parameters import CheckpointFile
from gfnet.console.output import say
from gfnet.errors import ConfigError


@click.command(
    epilog=examples(
        "gfnet convert released.pth.tar net.safetensors",
        "gfnet convert run/model.safetensors net.pth.tar",
    )
)
@click.argument("checkpoint", type=CheckpointFile(path_type=Path))
@click.argument("out", type=OutputFile())
@click.option(
    "--prefix/--no-prefix",
    default=True,
    show_default=True,
    help="Write `module.` before the encoders' keys in a .pth.tar file, as the released files do.",
)
@click.option("--half", is_flag=True, help="Store weights as float16 in a .safetensors file, half the size of float32.")
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
    """Rewrite a checkpoint as .safetensors or .pth.tar.

    The end of OUT's name decides: .safetensors is this project's format, .pth.tar that of the papers' own code.
    """
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
