from __future__ import annotations

import numpy as np
import pytest

from gfnet.errors import DataError
from gfnet_benchmark.paper.published import FIGURES, REFERENCE, read_lines, read_markers, read_pieces

HEADER = "series,segment,latency_ms,top1\n"


def written(tmp_path, text):
    path = tmp_path / "figure.csv"
    path.write_text(text)
    return path


def test_every_file_of_the_folder_is_read():
    files = sorted(REFERENCE.glob("*.csv"))
    assert len(files) == 10
    for path in files:
        rows = sum(line.cost.size for line in read_lines(path).values())
        assert rows == len(path.read_text().splitlines()) - 1, path


def test_the_pieces_of_the_latency_figures_are_released_networks():
    networks = [piece.network for piece in read_pieces(REFERENCE / FIGURES["mobilenetv3"].latency)]
    assert networks == [
        "mobilenetv3_large_100_p96_T3",
        "mobilenetv3_large_100_p128_T3",
        "mobilenetv3_large_125_p128_T3",
    ]
    networks = [piece.network for piece in read_pieces(REFERENCE / FIGURES["resnet"].latency)]
    assert networks == ["resnet50_p96_T5", "resnet50_p128_T5"]


def test_every_family_has_its_pieces():
    found = {piece.network for path in REFERENCE.glob("fig4[a-e]_*.csv") for piece in read_pieces(path)}
    assert len(found) == 14  # every released network is in some figure


def test_a_piece_joins_black_and_grey_and_knows_where_they_meet():
    first, second, third = read_pieces(REFERENCE / FIGURES["mobilenetv3"].latency)
    assert (first.cost.size, second.cost.size, third.cost.size) == (10, 16, 13)
    assert first.cost[first.junction].tolist() == [5.861]
    assert not third.black[0]
    assert third.black[1:].all()
    assert not third.junction.any()


@pytest.mark.parametrize("figure", FIGURES)
def test_the_dense_files_lie_on_the_same_lines(figure):
    latency = FIGURES[figure].latency
    corners = read_pieces(REFERENCE / latency)
    for dense, piece in zip(read_pieces(REFERENCE / latency.replace(".csv", "_dense.csv")), corners, strict=True):
        assert dense.network == piece.network
        expected = np.interp(dense.cost, piece.cost, piece.top1)
        # Corners are rounded by themselves, and a kink between two of them is finer in the dense file.
        assert np.abs(dense.top1 - expected).max() < 0.02


def test_markers_have_names_where_the_network_is_sure_and_the_clipped_one_is_left_out():
    markers = read_markers(REFERENCE / FIGURES["mobilenetv3"].latency)
    names = [marker.network for marker in markers if marker.series == "MobileNets-V3"]
    assert names[0] == "mobilenetv3_small_075@224"
    assert names[-1] == FIGURES["mobilenetv3"].anchor
    assert [marker.title for marker in markers][:3] == ["Small 0.75", "Small 1.00", "Large 0.50"]
    assert sum(marker.series == "MnasNets" for marker in markers) == 5
    resnets = [m for m in read_markers(REFERENCE / FIGURES["resnet"].latency) if m.series == "ResNets"]
    assert [marker.title for marker in resnets] == ["ResNet-18", "ResNet", "ResNet-34", "ResNet-50"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns"),
        ("series,segment,seconds,top1\na,marker,1,2\n", "columns series,segment,seconds,top1"),
        (HEADER, "holds no points"),
        (HEADER + "a,marker,1,70\na,marker,x,70\n", r"line 3 \(a,marker,x,70\) is not a point"),
        (HEADER + "a,marker,1,170\n", "line 2"),
        (HEADER + "a,marker,-1,70\n", "line 2"),
        (HEADER + "a,marker,nan,70\n", "line 2"),
        (HEADER + "a,marker,1\n", "line 2"),
        (HEADER + "a,marker,1,70,5\n", "line 2"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read_lines(written(tmp_path, text))
    assert "figure.csv" in str(caught.value)


def test_a_file_that_is_no_text_or_not_there_is_named(tmp_path):
    path = tmp_path / "figure.csv"
    with pytest.raises(DataError, match=r"figure\.csv: no such file"):
        read_lines(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"figure\.csv: not a CSV file"):
        read_lines(path)


def test_a_piece_of_an_unknown_network_or_out_of_order_is_refused(tmp_path):
    with pytest.raises(DataError, match="VGG at 96 is not a released network"):
        read_pieces(written(tmp_path, HEADER + "GFNet,piece1_VGG_96_black,1,70\n"))
    with pytest.raises(DataError, match="the points of resnet50_p96_T5 do not ascend"):
        read_pieces(written(tmp_path, HEADER + "".join(f"GFNet,piece1_RN50_96_black,{ms},70\n" for ms in (2, 1))))
