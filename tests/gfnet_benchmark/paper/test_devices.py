from __future__ import annotations

import json

import numpy as np
import pytest

from gfnet.errors import DataError
from gfnet_benchmark.paper.charts import write_chart
from gfnet_benchmark.paper.devices import Device, device_curve, devices_from
from gfnet_benchmark.paper.recovery import fit_figure, mean_ratio
from gfnet_benchmark.paper.tables import paper_result, paper_table
from golden_support import GOLDEN
from result_support import CPU, classifier, network, result

FLOPS = json.loads((GOLDEN / "flops.json").read_text())
ANCHOR = "mobilenetv3_large_100@224"


@pytest.fixture(scope="module")
def figure():
    return fit_figure("mobilenetv3", {name: v["cumulative"] for name, v in FLOPS.items() if name != "_about"})


def phone(figure, factor, **baselines):
    """A device on which everything takes ``factor`` times as long as on the published one."""
    lengths = {fit.piece.network: tuple(factor * ms for ms in fit.by_cost.lengths_ms) for fit in figure.pieces}
    return Device("a phone", lengths, {name.replace("_at_", "@"): ms for name, ms in baselines.items()})


def test_a_result_becomes_a_device():
    (device,) = devices_from(result(network(lengths=(2.0, 5.0, 8.0)), classifier(ms=6.0)))
    assert device.name == "Phone 12, ONNX Runtime 1.32.0, CPU, 1 thread, fp32"
    assert device.cumulative_ms == {"mobilenetv3_large_100_p96_T3": (2.0, 5.0, 8.0)}
    assert device.baselines_ms == {ANCHOR: 6.0}
    with pytest.raises(DataError, match="test_resnet_p40_T3: the papers released no such network"):
        devices_from(result(network(network="test_resnet_p40_T3"), classifier()))


def test_precisions_and_threads_are_devices_of_their_own_and_share_the_fastest_baseline():
    two = CPU.model_copy(update={"threads": 2})
    found = devices_from(
        result(
            network("a"),
            network("b", network="mobilenetv3_large_100_p128_T3"),
            network("c", precision="int8"),
            network("d", runtime=two),
            classifier(),
            classifier("faster", ms=4.0, precision="int8-heads"),
        )
    )
    assert [len(device.cumulative_ms) for device in found] == [2, 1, 1]
    assert [device.baselines_ms.get(ANCHOR) for device in found] == [4.0, 4.0, None]


def test_one_form_of_a_network_twice_is_refused():
    with pytest.raises(DataError, match="b: mobilenetv3_large_100_p96_T3 was measured twice in fp32"):
        devices_from(result(network("a"), network("b"), classifier()))


def test_the_published_phone_gives_the_published_figure(figure):
    curve = device_curve(figure, phone(figure, 1, mobilenetv3_large_100_at_224=16.301))
    for piece, fit in zip(curve.pieces, figure.pieces, strict=True):
        np.testing.assert_allclose(piece.cost, fit.piece.cost, rtol=1e-6)
    assert curve.scale == pytest.approx(1)
    assert mean_ratio(curve.ratios) == pytest.approx(mean_ratio(figure.ratios))
    assert curve.measured == (False, False, False, False, False, True)
    assert curve.missing == ()


def test_a_device_that_is_twice_as_fast_in_all_keeps_the_ratios(figure):
    curve = device_curve(figure, phone(figure, 0.5, mobilenetv3_large_100_at_224=16.301 / 2))
    assert curve.scale == pytest.approx(2)
    np.testing.assert_allclose(curve.pieces[1].cost, figure.pieces[1].piece.cost / 2, rtol=1e-6)
    assert [ratio.ratio for ratio in curve.ratios] == pytest.approx([ratio.ratio for ratio in figure.ratios])


def test_a_measured_rival_is_not_scaled(figure):
    baselines = {"mobilenetv3_large_100_at_224": 16.301, "mobilenetv3_small_100_at_224": 9.0}
    curve = device_curve(figure, phone(figure, 1, **baselines))
    assert curve.measured == (False, True, False, False, False, True)
    assert curve.markers[1].cost == 9.0
    assert curve.ratios[1].ratio == pytest.approx(4.66 / 9, abs=0.001)
    text = paper_table(figure, [curve])
    assert "measured, published 0.863" in text
    assert "scaled  , published 0.837" in text


def test_steps_that_cost_more_lose_most_where_most_images_go_on(figure):
    lengths = {
        fit.piece.network: tuple(ms * (1 + 0.3 * k) for k, ms in enumerate(fit.by_cost.lengths_ms))
        for fit in figure.pieces
    }
    curve = device_curve(figure, Device("a phone", lengths, {ANCHOR: 16.301}))
    slower = curve.pieces[0].cost / figure.pieces[0].piece.cost
    assert (slower > 1).all()
    assert (np.diff(slower[~curve.pieces[0].junction]) > 0).all()


def test_without_a_baseline_it_is_shown_in_its_own_milliseconds_only(figure):
    curve = device_curve(figure, phone(figure, 0.5))
    assert (curve.scale, curve.markers, curve.ratios) == (None, (), ())
    assert "no mobilenetv3_large_100@224 in this result" in paper_table(figure, [curve])
    assert paper_result(figure, [curve])["devices"][0]["mean_ratio"] is None


def test_a_device_with_one_network_is_compared_where_that_one_reaches(figure):
    name = figure.pieces[0].piece.network
    device = Device("a phone", {name: figure.pieces[0].by_cost.lengths_ms}, {ANCHOR: 16.301})
    curve = device_curve(figure, device)
    assert [ratio.ratio is None for ratio in curve.ratios] == [True, False, False, False, True, True]
    assert curve.missing == ("mobilenetv3_large_100_p128_T3", "mobilenetv3_large_125_p128_T3")
    assert "not measured: mobilenetv3_large_100_p128_T3" in paper_table(figure, [curve])


def test_what_cannot_be_a_device_of_this_figure_is_refused(figure):
    with pytest.raises(DataError, match="do not ascend"):
        Device("a phone", {"x": (2.0, 1.0)}, {})
    with pytest.raises(DataError, match="x@224 takes 0 ms"):
        Device("a phone", {}, {"x@224": 0})
    with pytest.raises(DataError, match="measured no network of Figure 5"):
        device_curve(figure, Device("a phone", {"resnet50_p96_T5": (1.0, 2.0, 3.0, 4.0, 5.0)}, {}))
    with pytest.raises(DataError, match="2 lengths of mobilenetv3_large_100_p96_T3, which has 3"):
        device_curve(figure, Device("a phone", {"mobilenetv3_large_100_p96_T3": (1.0, 2.0)}, {}))


@pytest.mark.parametrize("form", ["png", "svg"])
def test_the_same_figure_is_the_same_file(figure, tmp_path, form):
    curves = [device_curve(figure, phone(figure, 0.5, mobilenetv3_large_100_at_224=8.0))]
    for name in ("a", "b"):
        write_chart(tmp_path / f"{name}.{form}", figure, curves)
    assert (tmp_path / f"a.{form}").read_bytes() == (tmp_path / f"b.{form}").read_bytes()


def test_a_chart_of_another_kind_is_refused(figure, tmp_path):
    with pytest.raises(DataError, match=r"a\.pdf: a chart is a \.png or an \.svg"):
        write_chart(tmp_path / "a.pdf", figure)
