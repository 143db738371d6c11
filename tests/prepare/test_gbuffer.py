"""IUV and normals as pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from anr_core.cli import main
from anr_core.prepare import prepare
from anr_core.rasterizer import rasterize
from tests.small_sources import write_easymocap


@pytest.fixture(scope="module")
def capture(small_source, tmp_path_factory):
    """Read only."""
    return prepare(small_source, tmp_path_factory.mktemp("gbuffer") / "capture", gbuffer=True)


def drawn(capture, shot, name):
    return np.asarray(Image.open(capture.path / "gbuffer" / shot.camera / f"{shot.frame:04d}_{name}.png"))


def test_every_picture_has_iuv_and_normals_of_its_size(capture):
    for shot in capture.shots:
        for name in ("iuv", "normals"):
            assert drawn(capture, shot, name).shape == (*capture.cameras[shot.camera].size, 3)


def test_iuv_holds_part_and_texture_coordinates(capture):
    shot = capture.shots[0]
    posed = capture.body(capture.pose(torch.tensor([shot.frame])))
    fragments = rasterize(posed.vertices, posed.surface.faces, capture.cameras[shot.camera],
                          capture.cameras[shot.camera].size)
    iuv, face = drawn(capture, shot, "iuv"), fragments.face_id[0].numpy()
    assert (iuv[face < 0] == 0).all()
    assert (iuv[face >= 0, 0] == posed.surface.part.numpy()[face[face >= 0]]).all()
    corners = posed.surface.uv[posed.surface.uv_faces[face[face >= 0]]]
    uv = (corners * fragments.barycentric[0][face >= 0][..., None]).sum(1).numpy()
    assert np.abs(iuv[face >= 0, 1:] / 255 - uv).max() < 0.5 / 255 + 1e-5


def test_normals_point_to_the_camera_and_right_is_red(capture):
    shot = capture.shots[0]
    normals = drawn(capture, shot, "normals").astype(float)
    covered = normals.any(-1)
    unit = normals[covered] / 127.5 - 1
    assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=0.02)
    assert (unit[:, 2] > -0.3).mean() > 0.97  # smooth normals may look a little away at the outline
    columns = np.nonzero(covered)[1]
    right, left = columns > np.quantile(columns, 0.8), columns < np.quantile(columns, 0.2)
    assert unit[right, 0].mean() > unit[left, 0].mean() + 0.2


def test_they_are_added_to_a_capture_that_is_there(small_source, tmp_path, capsys):
    made = prepare(small_source, tmp_path / "capture")
    before = (made.path / "capture.json").read_bytes()
    for _ in range(2):  # the second time they are exchanged
        assert main(["prepare", str(made.path), str(made.path), "--gbuffer"]) == 0
    assert len(list((made.path / "gbuffer").rglob("*.png"))) == 2 * len(made.shots)
    assert (made.path / "capture.json").read_bytes() == before


def test_without_a_body_there_is_one_line(tmp_path, capsys):
    source = write_easymocap(tmp_path / "source", range(1))
    assert main(["prepare", str(source), str(tmp_path / "capture"), "--gbuffer"]) == 2
    assert "has no registration yet" in capsys.readouterr().err
    assert not (tmp_path / "capture").exists()
