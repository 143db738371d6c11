"""Optical flow: what is warped, believed, resized, computed, and read of a capture."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from anr_core.camera import Camera
from anr_core.capture import Capture, Shot, flow
from anr_core.capture.flow import Flows, computed, consistent, lands, resized, warped

SIZE = (60, 80)


def textured(size=SIZE, right=0.0, down=0.0):
    """A picture (H, W, 3) uint8 of soft waves, moved so many pixels."""
    rows, columns = np.mgrid[:size[0], :size[1]].astype(float)
    x, y = columns - right, rows - down
    waves = [np.sin(x / 3 + y / 7) + np.sin(y / 4 - x / 11), np.sin(x / 5) + np.cos(y / 3 + 1),
             np.sin((x + y) / 4)]
    return np.stack([127 + 60 * wave for wave in waves], -1).clip(0, 255).astype(np.uint8)


def even(right, down, size=SIZE):
    return torch.tensor([right, down]).view(1, 2, 1, 1).expand(1, 2, *size).clone()


def planes(picture):
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255


def test_warping_shows_at_a_pixel_what_lies_where_its_flow_leads():
    picture = torch.arange(12.0).view(1, 1, 3, 4)
    assert warped(picture, even(1.0, 0.0, (3, 4)))[0, 0, 0].tolist() == pytest.approx([1, 2, 3, 0], abs=1e-5)
    assert warped(picture, even(0.0, -1.0, (3, 4)))[0, 0, :, 1].tolist() == pytest.approx([0, 1, 5], abs=1e-5)
    between = warped(picture, even(0.5, 0.5, (3, 4)))[0, 0, 0, 0]
    assert float(between) == pytest.approx((0 + 1 + 4 + 5) / 4, abs=1e-5)


def test_flow_lands_where_four_pixels_or_one_are_in_the_picture():
    assert lands(even(0.0, 0.0)).all()
    there = lands(even(2.0, -1.5))
    assert there[..., 2:, :-2].all() and not there[..., :2, :].any() and not there[..., -2:].any()
    assert not lands(even(float("nan"), 0.0)).any()


def test_flow_is_consistent_where_the_way_back_ends_within_a_pixel():
    there = even(3.0, 1.0)
    assert torch.equal(consistent(there, even(-3.0, -1.0)), lands(there))
    assert torch.equal(consistent(there, even(-3.9, -1.0)), lands(there))
    assert not consistent(there, even(-3.9, -1.9)).any()  # 1.27 pixels
    back = even(-3.0, -1.0)
    back[..., 20, 30] = float("nan")
    found = consistent(there, back)
    assert not found[..., 19, 27] and found[..., 19, 25]


def test_what_hides_in_the_other_picture_is_not_consistent():
    """A square goes right by 4 before a wall that stands: what it uncovers and covers was, or is, hidden."""
    back, forth = even(0.0, 0.0), even(0.0, 0.0)
    back[:, 0, 20:40, 34:54], forth[:, 0, 20:40, 30:50] = -4, 4
    found = consistent(back, forth)[0, 0]
    assert found[20:40, 34:54].all() and not found[20:40, 30:34].any()
    found[20:40, 30:34] = True
    assert found.all()


def test_a_resized_flow_has_its_vectors_scaled_as_the_picture_is():
    larger = resized(even(2.0, 3.0), (120, 240))
    assert larger.shape == (1, 2, 120, 240)
    torch.testing.assert_close(larger, even(6.0, 6.0, (120, 240)))
    torch.testing.assert_close(resized(even(2.0, 3.0), (30, 40)), even(1.0, 1.5, (30, 40)))


def test_computed_flow_leads_from_the_one_picture_to_the_other():
    found = computed(textured(), textured(right=2, down=-3))
    assert np.abs(np.median(found.reshape(-1, 2), 0) - [2, -3]).max() < 0.2
    back = planes(textured())
    again = warped(planes(textured(right=2, down=-3)), torch.from_numpy(found).permute(2, 0, 1)[None])
    assert (again - back)[..., 8:-8, 8:-8].abs().mean() < 0.02


# a capture's


def shot(frame, truth=None):
    return Shot("camera", frame, f"{frame}.png", None, truth=truth)


@pytest.fixture
def capture(tmp_path):
    """What moves 2 pixels right and 1 down from frame 4 to 5."""
    for frame, times in ((4, 0), (5, 1)):
        Image.fromarray(textured(right=2 * times, down=times)).save(tmp_path / f"{frame}.png")
    camera = Camera(torch.eye(3)[None], torch.eye(3)[None], torch.zeros(1, 3), size=SIZE)
    return Capture(tmp_path, {"camera": camera}, [], None, "test", "none", 30.0, torch.zeros(3), "nobody", {})


def filed(capture, size=SIZE, **others):
    """Two shots of which the later has flow at some size, that says 4 pixels to the right at full size."""
    scale = size[1] / SIZE[1]
    there = np.broadcast_to(np.array([4 * scale, 0], np.float16), (*size, 2))
    np.savez(capture.path / "5.npz", flow=there, flow_inv=-there, **others)
    return shot(4), shot(5, "5.npz")


def test_flow_is_computed_where_the_source_had_none(capture, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    flow._method.cache_clear()
    flows, box = Flows(capture), (10, 5, 70, 55)
    found = flows.back(shot(4), shot(5), box)
    flows.back(shot(4), shot(5), (0, 0, 80, 60))
    assert capsys.readouterr().err.count("Optical flow by OpenCV's DIS is used.") == 1
    assert found.shape == (1, 3, 50, 60) and set(found[:, 2].unique().tolist()) == {0, 1}
    assert found[0, 2, 6:-6, 6:-6].mean() > 0.95
    trusted = found[0, 2] > 0
    torch.testing.assert_close(found[0, :2, trusted].median(1).values, torch.tensor([-2.0, -1.0]),
                               atol=0.2, rtol=0)
    assert (found[0, :2, ~trusted] == 0).all()
    assert not trusted[:, 0].any() and not trusted[0].any()  # what was outside of the box


def test_a_second_look_reads_no_picture(capture):
    flows, box = Flows(capture), (0, 0, 80, 60)
    found = flows.back(shot(4), shot(5), box)
    (capture.path / "5.png").unlink()
    assert torch.equal(flows.back(shot(4), shot(5), box), found)


@pytest.mark.parametrize("size", [SIZE, (30, 40), (120, 160), (30, 80)])
def test_flow_of_the_source_is_scaled_to_its_pictures(capture, size):
    earlier, later = filed(capture, size)
    found = Flows(capture).back(earlier, later, (10, 5, 70, 55))
    assert found.shape == (1, 3, 50, 60)
    assert found[0, 2, :, 4:].all() and not found[0, 2, :, :4].any()  # where it leaves the box
    torch.testing.assert_close(found[0, 0, :, 4:], torch.full((50, 56), -4.0), atol=0.01, rtol=0)


def test_flow_of_the_source_leads_to_the_frame_before_alone(capture):
    _, later = filed(capture)
    Image.fromarray(textured()).save(capture.path / "3.png")
    found = Flows(capture).back(shot(3), later, (0, 0, 80, 60))
    torch.testing.assert_close(found[0, :2, found[0, 2] > 0].median(1).values, torch.tensor([-2.0, -1.0]),
                               atol=0.2, rtol=0)


def test_the_studios_true_flow_is_never_read(capture):
    wrong = np.full((*SIZE, 2), 7, np.float16)
    np.savez(capture.path / "5.npz", flow_forward=wrong, flow_backward=wrong)
    plain, told = (Flows(capture).back(shot(4), later, (0, 0, 80, 60))
                   for later in (shot(5), shot(5, "5.npz")))
    assert torch.equal(plain, told)


def test_large_pictures_are_shrunk_for_it_and_flow_is_not(capture, monkeypatch):
    monkeypatch.setattr(flow, "LONGEST", 40)
    seen = []
    monkeypatch.setattr(flow, "computed", lambda one, other: seen.append(one.shape) or computed(one, other))
    found = Flows(capture).back(shot(4), shot(5), (0, 0, 80, 60))
    assert seen == [(30, 40, 3)] * 2 and found.shape == (1, 3, 60, 80)
    torch.testing.assert_close(found[0, :2, found[0, 2] > 0].median(1).values, torch.tensor([-2.0, -1.0]),
                               atol=0.4, rtol=0)


def test_too_few_pixels_have_no_flow(capture):
    assert not Flows(capture).back(shot(4), shot(5), (0, 0, 9, 9)).any()


def test_a_network_is_used_where_it_can_be_had(capture, monkeypatch):
    def network(one, other):
        assert one.shape == other.shape == (1, 3, 56, 64) and one.abs().max() <= 1
        later = one.mean() > other.mean()
        return [torch.zeros(1, 2, 56, 64), even(-2.0 if later else 2.0, 0.0, (56, 64))]

    network.parameters = lambda: iter([torch.zeros(1)])
    monkeypatch.setattr(flow, "_method", lambda worker: "raft")
    monkeypatch.setattr(flow, "_raft", lambda: network)
    monkeypatch.setattr(flow, "LEAST", {"dis": 12, "raft": 40})
    pictures = {4: np.full((*SIZE, 3), 50, np.uint8), 5: np.full((*SIZE, 3), 60, np.uint8)}
    for frame, picture in pictures.items():
        Image.fromarray(picture).save(capture.path / f"{frame}.png")
    found = Flows(capture).back(shot(4), shot(5), (0, 0, 60, 50))
    assert found.shape == (1, 3, 50, 60)
    assert (found[0, 0, :, 2:] == -2).all() and not found[0, 2, :, :2].any()


def test_where_its_weights_cannot_be_had_one_line_says_so(monkeypatch, capsys):
    def broken():
        raise OSError("no network")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(flow, "_raft", lambda: flow.had("Optical flow by RAFT", broken))
    flow._method.cache_clear()
    assert flow._method(None) == "dis"
    assert capsys.readouterr().err.splitlines() == ["Optical flow by RAFT is left out: OSError: no network",
                                                   "Optical flow by OpenCV's DIS is used."]
    flow._method.cache_clear()


def test_a_worker_process_uses_no_network_whatever_was_found_before(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(flow, "_raft", lambda: "a network")
    flow._method.cache_clear()
    assert [flow._method(worker) for worker in (None, 0, 1)] == ["raft", "dis", "dis"]
    assert capsys.readouterr().err == "Optical flow by OpenCV's DIS is used.\n"
    flow._method.cache_clear()


def test_shots_are_told_apart_by_both_frames(capture):
    flows, box = Flows(capture), (0, 0, 80, 60)
    forth, itself = flows.back(shot(4), shot(5), box), flows.back(shot(5), replace(shot(5), frame=6), box)
    assert not torch.equal(forth, itself) and itself[:, :2].abs().max() < 0.1
