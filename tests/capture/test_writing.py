"""Writing captures: doubtful outlines, lenses, and a folder that is whole or not there."""

import numpy as np
import pytest
import torch
from PIL import Image

from anr_core.body import make_surface
from anr_core.camera import Camera
from anr_core.capture import load_capture
from anr_core.capture.footage import Footage, Take
from anr_core.capture.outline import near_outline
from anr_core.capture.writing import whole_or_nothing, write_capture


def test_a_ring_of_its_width_lies_to_either_side_of_the_outline():
    mask = np.zeros((40, 60), bool)
    mask[10:30, 20:40] = True
    ring = near_outline(mask, 2.5)
    # the outline runs at x = 20: pixel centres 17.5, 18.5, 19.5 and 20.5, 21.5, 22.5 are within 2.5
    assert ring[20].nonzero()[0].tolist() == [17, 18, 19, 20, 21, 22, 37, 38, 39, 40, 41, 42]
    assert ring[8, 18] and not ring[7, 17]  # 2.3 and 3.7 pixels: corners are round


def test_an_empty_mask_or_no_distance_has_no_ring():
    assert not near_outline(np.zeros((5, 5), bool), 3).any()
    assert not near_outline(np.eye(5, dtype=bool), 0).any()


def test_the_old_folder_stays_where_writing_fails(tmp_path):
    target = tmp_path / "capture"
    target.mkdir()
    (target / "capture.json").write_text("old")
    with pytest.raises(OSError, match="disk full"), whole_or_nothing(target) as folder:
        (folder / "capture.json").write_text("half")
        raise OSError("disk full")
    assert (target / "capture.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["capture"]


def test_the_new_folder_takes_the_old_ones_place(tmp_path):
    target = tmp_path / "deep" / "capture"
    for text in ("first", "second"):
        with whole_or_nothing(target) as folder:
            (folder / "capture.json").write_text(text)
        assert (target / "capture.json").read_text() == text
    assert [path.name for path in target.parent.iterdir()] == ["capture"]


def test_what_is_not_a_capture_is_not_overwritten(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="something else than a capture"), whole_or_nothing(tmp_path):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_an_exchange_that_was_killed_half_way_is_finished(tmp_path):
    old = tmp_path / ".capture.old"
    old.mkdir()
    (old / "capture.json").write_text("old")
    with pytest.raises(RuntimeError), whole_or_nothing(tmp_path / "capture"):
        raise RuntimeError
    assert (tmp_path / "capture" / "capture.json").read_text() == "old"


SQUARE = np.array([[[-0.5, -0.5, 2], [0.5, -0.5, 2], [0.5, 0.5, 2], [-0.5, 0.5, 2]]], np.float32)


def footage_of_a_square(folder, lens=None, image=None, mask=None):
    """A square metre at 2 m, filmed once."""
    K = torch.tensor([[[100.0, 0, 50], [0, 100.0, 50], [0, 0, 1]]])
    camera = Camera(K, torch.eye(3)[None], torch.zeros(1, 3), lens, size=(100, 100))
    surface = make_surface(SQUARE[0], np.array([[0, 1, 2], [0, 2, 3]]),
                           np.array([[0, 0], [1, 0], [1, 1], [0, 1]]))
    takes = [Take("one", 0, np.full((100, 100, 3), 90, np.uint8) if image is None else image, mask)]
    return Footage("made up", {"one": camera}, {"one": {}}, takes, np.array([0]), SQUARE, surface, 30.0,
                   (0.0, -1.0, 0.0), "not stated")


def test_without_a_mask_the_mesh_is_drawn(tmp_path):
    write_capture(footage_of_a_square(tmp_path), tmp_path)
    mask = load_capture(tmp_path).views()[0].mask[0, 0]
    assert mask[25:75, 25:75].all() and mask.sum() == 2500


def test_pictures_and_masks_lose_their_lens_distortion(tmp_path):
    lens = torch.tensor([[0.3, 0.05, 0.002, -0.001]])
    footage = footage_of_a_square(tmp_path, lens)
    # each pixel looks along its ray, and sees the square or the grey behind it
    camera = footage.cameras["one"]
    pixels = torch.cartesian_prod(torch.arange(100) + 0.5, torch.arange(100) + 0.5).flip(-1)[None]
    direction = camera.rays(pixels)[1][0]
    hit = ((direction[:, :2] / direction[:, 2:]).abs() < 0.25).all(-1).view(100, 100).numpy()
    image = np.where(hit[..., None], np.uint8(200), np.uint8(40)).repeat(3, -1)
    mask = tmp_path / "mask.png"
    Image.fromarray(hit).save(mask)
    write_capture(footage_of_a_square(tmp_path, lens, image, mask), tmp_path)
    view = load_capture(tmp_path).views()[0]
    inner, outer = np.zeros((2, 100, 100), bool)
    inner[27:73, 27:73], outer[23:77, 23:77] = True, True
    assert (view.mask[0, 0][inner] > 0.99).all() and not view.mask[0, 0][~outer].any()
    assert view.image[0, :, inner].min() > 0.7 and view.image[0, :, ~outer].max() < 0.25
    assert view.certain[0, 0, 50, 50] and not view.certain[0, 0, 0, 0]  # the lens didn't see the corner
    assert view.camera.distortion is None
    assert hit.sum() > 1.03 * 2500  # it did bend


def test_a_camera_name_that_is_a_path_is_refused(tmp_path):
    footage = footage_of_a_square(tmp_path)
    footage.cameras["../away"] = footage.cameras.pop("one")
    with pytest.raises(ValueError, match="can't be a folder's name"):
        write_capture(footage, tmp_path)
