"""The figures along the true flow: where the flow leads in what is judged, and what it finds there."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from anr_core import evaluation
from anr_core.avatars import Avatar, Config, Rendering
from anr_core.body import Surface, TrackedBody
from anr_core.camera import look_at
from anr_core.capture import Shot
from anr_core.capture.folder import Capture
from anr_core.capture.pictures import write_image, write_mask
from anr_core.evaluation.true_flow import TrueFlow

SIZE, FRAMES, CROP = (60, 80), 3, 40
# a quad of 1 m, seen from 2 m, is 40 pixels; it goes 0.1 m or 4 pixels to the right, and 2 pixels up
CORNERS = torch.tensor([[-0.5, -0.5, 0.0], [0.5, -0.5, 0.0], [0.5, 0.5, 0.0], [-0.5, 0.5, 0.0]])
STEP = torch.tensor([0.1, -0.05, 0.0])
SURFACE = Surface(torch.tensor([[0, 1, 2], [0, 2, 3]]), torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]]),
                  torch.tensor([[0, 1, 2], [0, 2, 3]]), torch.tensor([1, 1]))


def filmed(folder, bar=slice(30, 34)):
    """The quad in noise of its own, masks and true flow; a bar that stands hides some of its columns."""
    K = torch.tensor([[[80.0, 0, 34], [0, 80, 33], [0, 0, 1]]])
    camera = look_at(torch.tensor([[0.0, 0.0, -2]]), torch.zeros(1, 3), (0, -1, 0), K, SIZE)
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    for kind in ("frames", "masks", "truth"):
        (folder / kind / "a").mkdir(parents=True)
    for frame in range(FRAMES):
        rows, columns = slice(13 - 2 * frame, 53 - 2 * frame), slice(14 + 4 * frame, 54 + 4 * frame)
        picture, mask = np.full((*SIZE, 3), 40, np.uint8), np.zeros(SIZE, np.uint8)
        picture[rows, columns], mask[rows, columns] = noise, 255
        truth = {"flow_forward": (4, -2), "flow_backward": (-4, 2)}
        for name, way in truth.items():
            flow = np.full((*SIZE, 2), np.nan, np.float16)
            flow[rows, columns] = way
            flow[:, bar] = 0
            last = frame == (FRAMES - 1 if name == "flow_forward" else 0)
            truth[name] = np.full_like(flow, np.nan) if last else flow
        write_image(folder / f"frames/a/{frame}.png", picture)
        write_mask(folder / f"masks/a/{frame}.png", mask)
        np.savez(folder / f"truth/a/{frame}.npz", **truth)
    shots = [Shot("a", frame, f"frames/a/{frame}.png", f"masks/a/{frame}.png", truth=f"truth/a/{frame}.npz")
             for frame in range(FRAMES)]
    body = TrackedBody(torch.arange(FRAMES), CORNERS + torch.arange(FRAMES)[:, None, None] * STEP, SURFACE)
    return Capture(folder, {"a": camera}, shots, body, "test", "none", 30.0, torch.tensor([0.0, -1, 0]),
                   "nobody", {})


@pytest.fixture
def capture(tmp_path):
    return filmed(tmp_path)


def known(flow):
    return np.isfinite(flow).all(-1)


def test_in_whole_pictures_it_is_the_truths_own(capture):
    views = capture.views()
    flow = TrueFlow(capture)(views[0], views[1])
    seen = known(flow)
    expected = np.zeros(SIZE, bool)
    expected[11:51, 18:58] = True
    # the bar, what came out from behind it, and what bilinear sampling mixes with either or with the outside
    moving = seen & (flow[..., 0] != 0)
    assert (flow[moving] == [-4, 2]).all() and not (seen & ~expected).any()
    assert not seen[:, 34:38].any() and moving[14:48, 40:56].all() and moving[14:48, 20:29].all()


@pytest.mark.parametrize("size", [CROP, 80, 25])
def test_in_crops_that_go_along_with_the_person_nothing_moves(capture, size):
    views = capture.views(crop="body", size=size)
    flow = TrueFlow(capture)(views[0], views[1])
    seen = known(flow)
    assert seen.mean() > 0.3
    still, bar = np.abs(flow[seen]).max(-1) < 1e-3, flow[seen][:, 0] > 0
    assert still.mean() > 0.75 and (still | bar).all()


def test_each_window_counts_with_its_own_size(capture):
    views = capture.views()
    first, second = (replace(views[row], camera=views[row].camera.resize((120, 160))) for row in (0, 1))
    doubled = [replace(view, image=view.image.repeat_interleave(2, 2).repeat_interleave(2, 3),
                       mask=view.mask.repeat_interleave(2, 2).repeat_interleave(2, 3))
               for view in (first, second)]
    flow = TrueFlow(capture)(*doubled)
    assert flow.shape == (120, 160, 2)
    np.testing.assert_allclose(flow[60, 100], [-8, 4], atol=1e-4)


def test_there_is_none_to_any_frame_but_the_one_before_and_none_without_truth(capture):
    views = capture.views()
    assert TrueFlow(capture)(views[0], views[2]) is None and TrueFlow(capture)(views[1], views[0]) is None
    bare = replace(capture, shots=[replace(shot, truth=None) for shot in capture.shots])
    assert TrueFlow(bare)(views[0], views[1]) is None
    np.savez(capture.path / "truth/a/1.npz", flow=np.zeros((*SIZE, 2)), flow_inv=np.zeros((*SIZE, 2)))
    assert TrueFlow(capture)(views[0], views[1]) is None


# evaluate


class Painter(Avatar):
    """Draws what it is told to, by frame."""

    needs = ("posed", "camera", "frame")

    def __init__(self, pictures):
        super().__init__(Config(size=CROP), SURFACE)
        self.pictures = pictures

    def forward(self, scene):
        return Rendering(self.pictures[int(scene.frame)][None], torch.ones(1, 1, *scene.size))


def judged(capture, pictures):
    """Figures of `inside` and `whole` by frame, of an avatar that draws these crops."""
    contestants = evaluation.Contestants("painter", Painter(pictures), Painter(pictures), torch.zeros(3),
                                         frozenset("a"))
    views = capture.views(crop="body", size=CROP)
    told = [(view, capture.body(view.pose)) for view in (views[row] for row in range(FRAMES))]
    return [{name: figures[name]["painter"] for name in ("inside", "neuralbody", "whole")}
            for *_, figures in evaluation.measure(told, contestants, flow=TrueFlow(capture))]


def test_a_perfect_avatar_has_no_warp_error_and_all_sharpness(capture):
    views = capture.views(crop="body", size=CROP)
    first, *others = judged(capture, [views[row].image[0] for row in range(FRAMES)])
    assert first["inside"]["warp"] is None and first["inside"]["sharpness"] == pytest.approx(1)
    for figures in others:
        assert [figures[name]["warp"] for name in figures] == pytest.approx([0, 0, 0], abs=1e-6)


def test_an_avatar_whose_colour_jumps_has_the_jump(tmp_path):
    flashing = [torch.full((3, CROP, CROP), 0.5 + 0.2 * (-1) ** frame) for frame in range(FRAMES)]
    first, *others = judged(filmed(tmp_path, bar=slice(0, 0)), flashing)
    assert first["inside"]["warp"] is None
    for figures in others:
        assert figures["inside"]["warp"] == pytest.approx(0.4, abs=1e-5)
        assert figures["inside"]["sharpness"] == pytest.approx(0, abs=1e-9)


def test_a_texture_that_drifts_over_the_person_is_charged_for_it_and_one_that_stays_is_not(tmp_path):
    capture = filmed(tmp_path, bar=slice(0, 0))
    first = capture.views(crop="body", size=CROP)[0].image[0]  # crops go along with the person
    staying, drifting = (judged(capture, [first.roll(step * frame, 2) for frame in range(FRAMES)])[1]
                         for step in (0, 2))
    assert abs(staying["inside"]["warp"]) < 0.001 and drifting["inside"]["warp"] > 0.15


def test_a_capture_without_true_flow_has_no_such_column(capture, capsys):
    views = capture.views(crop="body", size=CROP)
    pictures = [views[row].image[0] for row in range(FRAMES)]
    contestants = evaluation.Contestants("painter", Painter(pictures), Painter(pictures), torch.zeros(3),
                                         frozenset("a"))
    evaluation.evaluate_capture(contestants, [("a", 9)], capture, CROP)
    assert " warp" in capsys.readouterr().out
    bare = replace(capture, shots=[replace(shot, truth=None) for shot in capture.shots])
    evaluation.evaluate_capture(contestants, [("a", 9)], bare, CROP)
    assert " warp" not in capsys.readouterr().out
