"""Charts of Anny's parts: each fills its square, in which neighbours stay neighbours."""

import pytest
import torch

from anr_core.body.anny import PARTS, AnnyBody, mirror
from anr_core.parts import charted
from anr_core.parts import charts as module
from tests.small_capture import surface


@pytest.fixture(scope="module")
def charts():
    return charted(AnnyBody().surface)


def test_every_part_fills_its_chart_and_shares_no_coordinates(charts):
    for number in range(1, len(PARTS) + 1):
        corners = charts.uv_faces[charts.part == number]
        uv = charts.uv[corners.unique()]
        assert uv.min() == pytest.approx(0.03, abs=1e-5) and uv.max() == pytest.approx(0.97, abs=1e-5)
        others = charts.uv_faces[charts.part != number]
        assert not bool(torch.isin(corners.unique(), others.unique()).any())


def test_no_triangle_of_a_limb_or_the_torso_jumps_over_its_chart(charts):
    uv = charts.uv[charts.uv_faces]
    extent = (uv.amax(1) - uv.amin(1)).amax(1)
    for number, name in enumerate(PARTS, 1):
        if "head" not in name:  # mouth and eyes fold
            assert extent[charts.part == number].max() < 0.45, name


def test_triangles_of_halves_look_one_way(charts):
    a, b, c = charts.uv[charts.uv_faces].unbind(1)
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    for number, name in enumerate(PARTS, 1):
        if name.split("_")[-1] in ("front", "back", "inner", "outer"):
            mine = area[charts.part == number]
            assert mine[mine > 0].sum() > 0.98 * mine.abs().sum(), name


def test_both_sides_have_charts_of_one_shape(charts):
    other = mirror()
    for number, name in enumerate(PARTS, 1):
        if not name.startswith("left"):
            continue
        faces = (charts.part == number).nonzero()[:, 0]
        heights = [charts.uv[charts.uv_faces[rows]][..., 1].mean(1) for rows in (faces, other.faces[faces])]
        agree = torch.corrcoef(torch.stack(heights))[0, 1].abs()
        assert agree > 0.99, name


def test_which_way_eigenvectors_look_changes_nothing(charts, monkeypatch):
    found = torch.linalg.eigh

    def turned(matrix):
        values, axes = found(matrix)
        return type(found(matrix))((values, -axes))

    monkeypatch.setattr(torch.linalg, "eigh", turned)
    assert torch.equal(charted(AnnyBody().surface).uv, charts.uv)


def test_no_axis_of_a_part_is_nearly_square_to_the_way_it_is_turned(monkeypatch):
    seen, axes = [], module._axes
    monkeypatch.setattr(module, "_axes", lambda points: seen.append(axes(points)) or seen[-1])
    charted(AnnyBody().surface)
    assert (torch.tensor(module.WAY) @ torch.stack(seen)).abs().min() > 0.1


def test_another_mesh_keeps_its_coordinates():
    mine = surface()
    assert charted(mine) is mine
