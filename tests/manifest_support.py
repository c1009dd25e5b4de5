"""Manifests altered by accident or on purpose, for every reader of them."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gfnet.files.digests import UNKNOWN, with_own_digest
from gfnet_export.bundle.reader import MANIFEST

Mutate = Callable[[dict[str, Any], random.Random], bytes]

# What JSON's own writer would not write, as text that stands for it until the last moment.
RAW = {
    "@infinite": "1e999",
    "@negative": "-1e999",
    "@nan": "NaN",
    "@deep": "[" * 150 + "]" * 150,
    "@deeper": '{"a":' * 900 + "1" + "}" * 900,
    "@deepest": "[" * 5000 + "]" * 5000,
    "@surrogate": '"\\ud800"',
    "@digits": "9" * 5000,
    "@exponent": "1" + "0" * 400 + ".5",
}
VALUES = (
    *(
        None,
        True,
        False,
        0,
        1,
        2,
        3,
        4,
        41,
        97,
        -1,
        64,
        65,
        2**31,
        2**63,
        10**18,
        10**400,
        -(10**400),
        0.5,
        1e308,
        -0.0,
    ),
    *(
        "",
        " ",
        "3",
        "x" * 100_000,
        "\0",
        "two\nlines",
        "\x1b[31m",
        "é" * 300,
        "null",
        "policy",
        "focus",
        "step",
        "coreml",
    ),
    *([], {}, [[]], [None], [1, 2, 3], [2, 2], [2, 3], {"a": 1}, ["x"] * 5000, list(range(5000))),
    *RAW,
)
PATHS = (
    *("..", "../outside.onnx", "a/../../outside.onnx", "/etc/passwd", "/dev/zero", "C:", "C:\\x", "..\\x", "a\\b"),
    *("\\\\server\\share", "glance.onnx\0", "glance\n.onnx", "./glance.onnx", "glance.onnx/", "glance.onnx/.", ".", ""),
    *("/".join(["x"] * 3000), "x" * 300, "é" * 200, "~", "~/x", "glance.onnx/x", "none.onnx", "manifest.json"),
    *(
        "link.onnx",
        "loop.onnx",
        "folder.onnx",
        "pipe.onnx",
        "policy.onnx",
        "focus_2.onnx",
        "GLANCE.ONNX",
        "\u202e.onnx",
    ),
)


def serialise(content: Any) -> bytes:
    text = json.dumps(content)
    for name, raw in RAW.items():
        text = text.replace(f'"{name}"', raw)
    return text.encode()


def stored(folder: Path) -> dict[str, Any]:
    """A bundle's manifest without its digest."""
    content: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    content.pop("digest", None)
    return content


def sealed(text: bytes) -> bytes:
    """A manifest's text, without a digest so far, with one that holds: what is wrong with it is not its digest."""
    return with_own_digest(text.replace(b"{", f'{{"digest": "{UNKNOWN}", '.encode(), 1))


def rewrite(folder: Path, content: dict[str, Any]) -> None:
    """Give a bundle another manifest, with a digest that holds."""
    (folder / MANIFEST).write_bytes(sealed(json.dumps(content).encode()))


def places(value: Any, container: Any = None, key: Any = None) -> Iterator[tuple[Any, Any]]:
    """Every value of a manifest, as the container that it lies in and its key there."""
    if container is not None:
        yield container, key
    for inner, child in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from places(child, value, inner)


def change(content: dict[str, Any], choice: random.Random) -> None:
    """One value removed, renamed, swapped with another, doubled, or replaced."""
    everywhere = list(places(content))
    # Thresholds and labels are most of the values; half of the changes shall not be to them.
    container, key = choice.choice(
        everywhere if choice.random() < 0.5 else [p for p in everywhere if isinstance(p[1], str)]
    )
    kind = choice.randrange(6)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        new = choice.choice(("", "x", key.upper(), key + "\n", "k" * 5000, "\x07", *PATHS[:4]))
        container[new] = container.pop(key)
    elif kind == 2:
        other, twin = choice.choice(everywhere)
        container[key], other[twin] = copy.deepcopy(other[twin]), copy.deepcopy(container[key])
    elif kind == 3 and isinstance(container, list):
        container.insert(key, copy.deepcopy(container[key]))
    elif isinstance(container[key], int | float) and choice.random() < 0.5:
        with contextlib.suppress(OverflowError):  # of an integer of 400 digits, changed before
            container[key] = container[key] + choice.choice((-1, 1, 0.5)) * choice.choice((1, 1, 10, 1e9))
    else:
        container[key] = copy.deepcopy(choice.choice(VALUES))


def structure(content: dict[str, Any], choice: random.Random) -> bytes:
    changed = copy.deepcopy(content)
    for _ in range(choice.choice((1, 1, 1, 2, 4))):
        if changed:
            change(changed, choice)
    return serialise(changed)


def paths(content: dict[str, Any], choice: random.Random) -> bytes:
    """A subgraph that is said to lie elsewhere, in its path, its digests or both."""
    changed = copy.deepcopy(content)
    graph, path = choice.choice(changed["subgraphs"]), choice.choice(PATHS)
    digest = choice.choice([*graph["sha256"].values(), *changed["subgraphs"][0]["sha256"].values()])
    kind = choice.randrange(3)
    if kind != 0:
        graph["path"] = path
    if kind != 1:
        graph["sha256"] = {path: digest} if choice.random() < 0.8 else {**graph["sha256"], path: digest}
    return serialise(changed)


def meaning(content: dict[str, Any], choice: random.Random) -> bytes:
    """Every value by itself as it could be, but not together: these are what a schema alone would let pass."""
    changed = copy.deepcopy(content)
    graphs, preprocessing = changed["subgraphs"], changed["preprocessing"]
    first, second = choice.sample(graphs, 2)
    kind = choice.randrange(10)
    if kind == 0:
        first["path"], second["path"], first["sha256"], second["sha256"] = (
            *(second["path"], first["path"]),
            *(second["sha256"], first["sha256"]),
        )
    elif kind == 1:
        first["steps"], second["steps"] = second["steps"], first["steps"]
    elif kind == 2:
        first["role"], second["role"] = second["role"], first["role"]
    elif kind == 3:
        first["name"] = choice.choice(("other", "x" * 150, "Ünïcode", second["name"]))
    elif kind == 4:
        spec = choice.choice(first["inputs"] + first["outputs"])
        place = choice.randrange(len(spec["shape"]))
        spec["shape"][place] = choice.choice((1, 2, 40, 41, 4096, 2**20, 2**31 - 1))
    elif kind == 5:
        first["outputs"] = choice.sample(first["outputs"], choice.randint(1, len(first["outputs"])))
    elif kind == 6:
        name = choice.choice(("image_size", "resize_size"))
        preprocessing[name] = choice.choice((1, 39, 40, 41, 95, 97, 200, 384, 4096, 16384))
    elif kind == 7:
        changed["patch_size"] = choice.choice((1, 39, 41, 96))
    elif kind == 8:
        changed["num_classes"] = choice.choice((1, 9, 11, 100_000))
        changed["labels"] = choice.choice((None, ["x"] * changed["num_classes"]))
    else:
        steps = changed["steps"] = choice.choice((1, 2, 4))
        changed["step_macs"] = (changed["step_macs"] * 2)[:steps]
        changed["anytime_top1"] = []
        changed["budgets"] = []
        changed["subgraphs"] = [graph for graph in graphs if min(graph["steps"]) <= steps]
        for graph in changed["subgraphs"]:
            graph["steps"] = [step for step in graph["steps"] if step <= steps]
    return serialise(changed)


def characters(content: dict[str, Any], choice: random.Random) -> bytes:
    """Bytes flipped, removed, inserted, cut off or doubled."""
    changed = bytearray(json.dumps(content, indent=choice.choice((None, 2))).encode())
    for _ in range(choice.choice((1, 1, 2, 8))):
        begin = choice.randrange(len(changed) or 1)
        end = min(len(changed), begin + choice.choice((1, 1, 2, 8, 200)))
        kind = choice.randrange(6)
        if kind == 0 and changed:
            changed[begin] ^= 1 << choice.randrange(8)
        elif kind == 1:
            del changed[begin:end]
        elif kind == 2:
            changed[begin:begin] = choice.randbytes(end - begin)
        elif kind == 3:
            changed[begin:begin] = choice.choice(
                (b"9", b"0", b"-", b"e9", b"[", b"{", b'"', b",", b"\0", b"\xed\xa0\x80")
            )
        elif kind == 4 and choice.random() < 0.2:
            del changed[begin:]
        else:
            changed[begin:begin] = changed[begin:end]
    return bytes(changed)


MUTATIONS: tuple[Mutate, ...] = (characters, structure, paths, meaning)
