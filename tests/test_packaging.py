"""The wheel holds what it should, and works where it was installed from nothing else."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from gfnet.shipped import shipped_names

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    source = tmp_path_factory.mktemp("source")
    # From a copy, so that building leaves nothing in the repository.
    subprocess.run(
        f"git -C '{ROOT}' ls-files -co --exclude-standard -z | (cd '{ROOT}' && xargs -0 cp --parents -t '{source}')",
        shell=True,
        check=True,
    )
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_puts_three_packages_and_nothing_else_into_site_packages(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {
        "gfnet",
        "gfnet_export",
        "gfnet_benchmark",
    }
    assert "gfnet_export/manifest.schema.json" in names
    assert "gfnet_export/gallery.html" in names
    assert "gfnet_benchmark/templates/report.html" in names
    assert "gfnet/result.schema.json" in names
    for name in shipped_names():
        assert {f"gfnet/networks/{name}.safetensors", f"gfnet/networks/{name}.md"} <= set(names)
    assert "gfnet_benchmark/reference/fig5a_mobilenetv3.csv" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.fixture
def clean(wheel, tmp_path):
    """The folder ``bin`` of an environment that holds the wheel and nothing else."""
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    # pip of this environment installs into the new one.
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel], check=True
    )
    return python.parent


def run_clean(command, tmp_path):
    """Run a command that finds third-party packages in this environment: borrowed, not downloaded."""
    borrowed = {"PYTHONPATH": sysconfig.get_paths()["purelib"], "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=borrowed)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_every_module_imports_from_a_clean_environment(clean, tmp_path):
    code = (
        "import importlib, pkgutil, sys\n"
        "count = 0\n"
        "for top in ('gfnet', 'gfnet_export', 'gfnet_benchmark'):\n"
        "    package = importlib.import_module(top)\n"
        "    assert package.__file__.startswith(sys.prefix), package.__file__\n"
        "    for module in pkgutil.walk_packages(package.__path__, top + '.'):\n"
        "        importlib.import_module(module.name)\n"
        "        count += 1\n"
        "print(count)\n"
    )
    assert int(run_clean([clean / "python", "-c", code], tmp_path)) > 40


def test_the_installed_command_runs(clean, tmp_path):
    assert "0.1.0" in run_clean([clean / "gfnet", "--version"], tmp_path)


def test_the_published_figures_come_along(clean, tmp_path):
    code = (
        "import sys\n"
        "from gfnet_benchmark.published import FIGURES, REFERENCE, read_pieces\n"
        "assert str(REFERENCE).startswith(sys.prefix), REFERENCE\n"
        "print(sum(len(read_pieces(REFERENCE / source.latency)) for source in FIGURES.values()))\n"
    )
    assert int(run_clean([clean / "python", "-c", code], tmp_path)) == 5
