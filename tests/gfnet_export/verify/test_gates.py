from __future__ import annotations

import pytest

from gfnet_export.verify.gates import COMPRESSED_GATES, GATES, Share


@pytest.mark.parametrize(
    ("same", "counted", "gate", "outcome"),
    [
        (15, 16, 0.95, "undecided"),  # 93.75 %: one of sixteen patches
        (7, 8, 0.995, "undecided"),
        (6, 8, 0.995, "failed"),
        (199, 200, 0.995, "passed"),  # on the gate
        (197, 200, 0.995, "undecided"),
        (195, 200, 0.995, "failed"),
        (16, 16, 0.95, "passed"),
        (8, 8, 0.995, "undecided"),  # what misses one in twenty would often look as good
        (59, 59, 0.995, "passed"),
        (1, 1, 1.0, "passed"),
        (9_999, 10_000, 1.0, "failed"),
        (0, 10, 0.0, "passed"),
        (0, 0, 0.95, "passed"),
        (0, 3, 0.85, "failed"),
    ],
)
def test_a_share_knows_how_many_it_counts(same, counted, gate, outcome):
    assert Share(same, counted, gate).outcome == outcome


@pytest.mark.parametrize("share", [Share(15, 16, 0.95), Share(7, 8, 0.995), Share(8, 8, 0.995), Share(399, 420, 0.96)])
def test_as_many_as_are_needed_tell(share):
    assert share.outcome == "undecided"
    assert share.needed > share.counted
    assert Share(round(share.value * share.needed), share.needed, share.gate).outcome != "undecided"


def test_as_many_images_as_a_command_takes_by_default_are_enough_for_every_gate():
    for gates in (*GATES.values(), *COMPRESSED_GATES.values()):
        for gate in (gates.same_label, gates.same_exit, gates.near_patch):
            assert Share(60, 60, gate).outcome == "passed"


def test_the_chance_is_that_of_the_binomial_distribution():
    # Three misses or more of 100: 0.94 % where 0.43 % are missed, 1.07 % where 0.45 % are.
    assert Share(97, 100, 1 - 0.0043).outcome == "failed"
    assert Share(97, 100, 1 - 0.0045).outcome == "undecided"
