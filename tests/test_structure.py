"""The house keeps its shape: imports run one way, and what deploys needs no torch."""

from __future__ import annotations

import ast
import configparser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "gfnet": ROOT / "gfnet",
    "gfnet_export": ROOT / "export" / "gfnet_export",
    "gfnet_benchmark": ROOT / "benchmark" / "gfnet_benchmark",
}
MAY_IMPORT = {
    "gfnet": set(),
    "gfnet_export": {"gfnet"},
    "gfnet_benchmark": {"gfnet", "gfnet_export"},
}
DEPLOYED = (
    "gfnet_export.runtime.onnx_runtime",
    "gfnet_export.runtime.serving",
    "gfnet_export.commands.predict",
    "gfnet_export.commands.visualize",
    "gfnet_export.loading",
    "gfnet.loading",
    "gfnet.pictures.gallery",
    "gfnet.cli",
)
ORDER = {  # a folder or module imports only what stands before it
    "gfnet": """choices limits escaping errors extras shipped config distributed console files inference results
        pictures network checkpoint data evaluation training loading commands cli __main__""",
    "gfnet_export": """choices bundle quiet runtime squares mil loading recorded_inputs components exporting onnx coreml
        coreai verify commands""",
    "gfnet_benchmark": "choices measure results paper report internals demo commands",
}
WITHOUT_TORCH = (
    "gfnet.files",
    "gfnet.console",
    "gfnet.inference",
    "gfnet.results",
    "gfnet.pictures",
    "gfnet_export.bundle",
    "gfnet_export.runtime",
)
MOST_MODULES = 14  # in a folder
DATA = {"gfnet_benchmark.reference"}  # folders of files that a wheel puts into a package
HEAVY = {"torch", "torchvision", "timm", "onnx", "coremltools", "safetensors", "matplotlib"}


def modules():
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join((package, *(part for part in parts if part != "__init__"))), path


MODULES = dict(modules())


def imports(path, *, top_level_only):
    """Names that a file imports; ``from a import b`` counts as ``a.b`` where that is a module, else as ``a``."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else str(node.module)


@pytest.mark.parametrize("package", FOLDERS)
def test_imports_run_one_way(package):
    for name, path in MODULES.items():
        if name.split(".")[0] == package:
            used = {imported.split(".")[0] for imported in imports(path, top_level_only=False)}
            assert used & set(FOLDERS) <= MAY_IMPORT[package] | {package}, name


def room(name):
    """The folder of a package that a module lies in, or its own name at the package's root."""
    return [*name.split("."), "__init__"][1]


@pytest.mark.parametrize("package", FOLDERS)
def test_imports_run_downwards_between_folders(package):
    order = {name: place for place, name in enumerate(ORDER[package].split())}
    inside = {name: path for name, path in MODULES.items() if name.startswith(f"{package}.")}
    assert {room(name) for name in inside} == set(order), "ORDER lists every folder and every module at the root"
    for name, path in inside.items():
        for imported in imports(path, top_level_only=False):
            if imported in inside and room(imported) != room(name):
                assert order[room(imported)] < order[room(name)], f"{name} imports {imported}"


@pytest.mark.parametrize("folder", WITHOUT_TORCH)
def test_folders_that_deploy_never_import_torch(folder):
    inside = {name: path for name, path in MODULES.items() if name.startswith(folder)}
    found = {name: set(imports(path, top_level_only=False)) for name, path in inside.items()}
    assert found
    for name, used in found.items():
        assert not {other.split(".")[0] for other in used} & {"torch", "torchvision", "timm"}, name
        assert not {other for other in used if other.startswith(("gfnet.network", "gfnet.checkpoint"))}, name


def test_no_folder_holds_too_many_modules():
    for folder in {path.parent for path in MODULES.values()}:
        found = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(found) <= MOST_MODULES, f"{folder}: {len(found)} modules"


def test_no_module_imports_itself_in_a_circle():
    graph = {name: {m for m in imports(path, top_level_only=True) if m in MODULES} for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name, trail):
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for other in graph[name] - {name}:
                visit(other, [*trail, name])
            done.add(name)

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize("start", DEPLOYED)
def test_what_deploys_imports_nothing_heavy(start):
    seen: set[str] = set()
    queue = [start]
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        for imported in imports(MODULES[name], top_level_only=True):
            assert imported.split(".")[0] not in HEAVY, f"{name} imports {imported}"
            if imported in MODULES:
                queue.append(imported)
    assert len(seen) >= 3


def test_setup_cfg_lists_every_package():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    assert listed == DATA | {name for name, path in MODULES.items() if path.name == "__init__.py"}


SAID_RAW = {
    "gfnet.console.output": "is the door",
    "gfnet.results.doubts": "prints the table of doubts",
    "gfnet.results.schema": "prints the JSON Schema",
    "gfnet_export.bundle.manifest": "prints the JSON Schema",
}


def test_what_commands_say_goes_through_one_door():
    """Names of files and classes may hold what a terminal obeys; :func:`gfnet.console.output.say` escapes it."""
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and name not in SAID_RAW:
                raw = ast.unparse(node.func) in ("print", "click.echo", "click.secho", "echo", "secho")
                assert not raw or isinstance(node.args[0], ast.Constant), f"{path}:{node.lineno}: use say"


def test_tables_are_lines_whose_breaks_are_meant():
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.endswith("_table"):
                assert node.returns is not None, path
                assert ast.unparse(node.returns) == "Lines", f"{path}: {node.name} must be made by as_lines"


def test_csv_is_written_in_one_place():
    for name, path in MODULES.items():
        text = path.read_text()
        assert name == "gfnet.escaping" or not ("csv.writer" in text or "DictWriter" in text), path


def test_every_module_says_what_it_is():
    silent = [name for name, path in MODULES.items() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent


def test_tests_mirror_the_tree():
    known = {name.rsplit(".", 1)[-1] for name in MODULES}
    for path in (ROOT / "tests").glob("gfnet*/**/test_*.py"):
        subject = path.stem.removeprefix("test_")
        assert subject in known, f"{path.relative_to(ROOT)} tests no module of that name"
