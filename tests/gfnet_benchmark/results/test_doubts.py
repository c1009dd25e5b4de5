from __future__ import annotations

import pytest

from gfnet.results.doubts import DoubtCode
from gfnet.results.schema import Conditions, Ratio, Stop, doubt
from gfnet_benchmark.results.doubts import doubts, measured_over_modelled
from result_support import classifier, loop, network, result, timing


def conditions(**more):
    return Conditions(**{"seconds": 10.0, **more})


def test_a_quiet_run_raises_no_doubt():
    assert doubts(result()) == ()


LOW_POWER = doubt(DoubtCode.LOW_POWER)
CASES = {
    "other reasons": ({"unreliable": ("a bird sat on it",)}, "a bird sat on it"),
    "a doubt that was written with it": ({"unreliable": (LOW_POWER,)}, "low-power mode"),
    "a doubt that is found too": ({"unreliable": (LOW_POWER,), "conditions": conditions(low_power_mode=True)}, "low-"),
    "throttled half-way": (
        {"conditions": conditions(thermal_states=("nominal", "fair", "serious", "serious"))},
        "throttled: thermal state serious from round 3 of 4",
    ),
    "low power": ({"conditions": conditions(low_power_mode=True)}, "low-power mode"),
    "background": ({"conditions": conditions(interrupted=True)}, "into the background"),
    "load": ({"conditions": conditions(others_cores=3.4)}, "kept 3.4 of 4 cores busy"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_the_machine_did_besides_is_named(name):
    values, message = CASES[name]
    (found,) = doubts(result(**values))
    assert message in found


def test_others_may_use_cores_that_are_left():
    assert doubts(result(conditions=conditions(others_cores=2.4, affinity=(0,)))) == ()


def test_a_device_that_became_slower_half_way_is_noticed_without_its_saying_so():
    slow = network(loop=loop(3.75, (0.5, 0.3, 0.2), round_ms=(3.0, 3.0, 3.4, 3.9)))
    (found,) = doubts(result(slow, classifier()))
    assert "fp32: became 30 % slower" in found


def test_too_wide_an_interval_is_named():
    wide = Stop(step=3, typical_ms=7.0, latency=timing(7.0), ratio=Ratio(value=1.0, low=0.9, high=1.1))
    subject = network()
    (found,) = doubts(result(subject.model_copy(update={"stops": (*subject.stops[:2], wide)}), classifier()))
    assert "fp32: its ratio is known to 10.0 % only" in found


def test_a_model_that_is_off_is_named():
    off = network(loop=loop(4.0, (0.5, 0.3, 0.2), modelled_ms=3.75))
    assert measured_over_modelled(off) == pytest.approx(1.0667, abs=1e-4)
    (found,) = doubts(result(off, classifier()))
    assert "1.067 times the modelled" in found


def test_few_images_are_named():
    subject = classifier(loop=loop(5.0, (1.0,), latency=timing(5.0, count=3)))
    assert any("3 times were taken, fewer than 20" in found for found in doubts(result(network(), subject)))
