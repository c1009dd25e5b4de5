"""The wheel holds what it should; a clean environment does what is promised, and names what it lacks."""

from __future__ import annotations

import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from gfnet.results.files import write_result_file
from gfnet.shipped import shipped_bundle, shipped_names
from gfnet_export.bundle.reader import open_bundle
from network_support import commands_by_path
from packaging_support import EXTRAS, Ran, commands, names_extra, run_without
from result_support import result

ROOT = Path(__file__).parents[1]
FOLDERS = {"gfnet": "gfnet", "gfnet_export": "export/gfnet_export", "gfnet_benchmark": "benchmark/gfnet_benchmark"}


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
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == set(FOLDERS)
    for package, folder in FOLDERS.items():
        modules = {f"{package}/{path.relative_to(ROOT / folder)}" for path in (ROOT / folder).rglob("*.py")}
        assert modules <= set(names)
    assert "gfnet_export/bundle/manifest.schema.json" in names
    assert "gfnet/pictures/gallery.html" in names
    assert "gfnet_benchmark/templates/report.html" in names
    assert "gfnet/results/result.schema.json" in names
    for name in shipped_names():
        files = {*open_bundle(shipped_bundle(name)).files, "manifest.json"}
        assert {f"gfnet/shipped/{name}.md", *(f"gfnet/shipped/{name}/{file}" for file in files)} <= set(names)
    assert not [name for name in names if name.endswith(".safetensors")]
    assert "gfnet_benchmark/reference/fig5a_mobilenetv3.csv" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_is_small_enough_to_be_fetched_for_a_try(wheel):
    assert wheel.stat().st_size <= 12e6


def test_the_wheel_describes_itself_without_relative_links(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        text = archive.read(name).decode()
    assert "Description-Content-Type: text/markdown" in text
    description = text.partition("\n\n")[2]
    assert description.startswith("# gfnet\n")
    assert "MobileNet-V3" in description
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=", description)
    assert links
    assert all(link.startswith("https://") for link in links)


@pytest.fixture
def every_command(onnx_bundle, coreml_bundle, tmp_path):
    """Every command with the extra that it names where only ``runtime`` is installed."""
    write_result_file(tmp_path / "result.json", result())
    return commands(tmp_path, onnx_bundle.folder, coreml_bundle.folder, tmp_path / "result.json")


def test_with_the_runtime_alone_each_command_works_or_names_the_extra_it_needs(every_command):
    for (command, extra), ran in zip(
        every_command.items(), run_without(EXTRAS["others"], list(every_command)), strict=True
    ):
        if extra is None:
            assert ran.exit_code == 0, (command, ran)
        else:
            assert names_extra(ran) == extra, command


def test_without_any_extra_the_runtime_is_named(every_command):
    modules = [*EXTRAS["runtime"], *EXTRAS["others"]]
    bundles = [command for command, extra in every_command.items() if extra is None and command[0] != "bench"]
    for command, ran in zip(bundles, run_without(modules, bundles), strict=True):
        if command[0] in ("predict", "visualize"):
            assert names_extra(ran) == "runtime", command
        else:
            assert ran.exit_code == 0, (command, ran)


def test_help_needs_no_extra():
    asked = [(*path.split()[1:], "--help") for path in commands_by_path()]
    assert len(asked) > 30
    ran = run_without([*EXTRAS["runtime"], *EXTRAS["others"]], asked)
    assert not [one for one in ran if one.exit_code], ran


@pytest.mark.slow
def test_a_clean_environment_does_what_is_promised(wheel, every_command, tmp_path):
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    # pip of this environment installs into the new one; nothing else is lent to it.
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", f"{wheel}[runtime]"], check=True
    )

    def run(*command):
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env={"PATH": ""})
        return Ran(done.returncode, done.stdout, done.stderr)

    code = (
        "import sys, gfnet_benchmark.paper.published as p; "
        "print(p.__file__.startswith(sys.prefix), p.REFERENCE.is_dir())"
    )
    assert run(python, "-c", code).stdout == "True True\n"
    assert "0.1.0" in run(python.with_name("gfnet"), "--version").stdout
    for command, extra in every_command.items():
        ran = run(python.with_name("gfnet"), *command)
        if extra is None:
            assert ran.exit_code == 0, (command, ran)
        else:
            assert names_extra(ran) == extra, command
