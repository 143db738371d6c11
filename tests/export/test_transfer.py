"""Motion from one capture, looks from another."""

from dataclasses import replace

import imageio_ffmpeg
import numpy as np
import pytest
import torch

from anr_core.avatars.run import Run
from anr_core.capture import load_capture
from anr_core.capture.changing import write_joints
from anr_core.capture.joints import Joints
from anr_core.capture.pictures import read_image, write_image
from anr_core.export import transfer as transferring
from anr_core.export.lending import lent, look_like
from anr_core.export.transfer import transfer
from anr_core.training import train
from tests.avatars.test_gaussian import TINY
from tests.motion.flat import film
from tests.posed_capture import FRAMES, make_posed_capture


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return make_posed_capture(tmp_path_factory.mktemp("person") / "capture", masked=True)


@pytest.fixture(scope="module")
def run(capture, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    list(train(capture, path, "gaussian", steps=2, config=TINY | {"course": "pictures"}))
    return Run.open(path)


@pytest.fixture(scope="module")
def lifted(tmp_path_factory):
    """A capture without a body, whose joints are known, but for one wrist for a while."""
    made = make_posed_capture(tmp_path_factory.mktemp("mover") / "capture")
    frames = sorted(FRAMES)
    posed = made.body(made.pose(torch.tensor(frames)))
    points = made.body.keypoints(posed, "coco23").numpy()
    points[1, 9] = np.nan
    write_joints(made, Joints.of("coco23", np.array(frames), points, lifted=True))
    return replace(load_capture(made.path), registration=None, poses=None)


def test_a_body_moves_as_another_was_filmed(run, capture, tmp_path):
    transfer(run, tmp_path / "video.mp4", capture, overview=True)
    assert imageio_ffmpeg.count_frames_and_secs(tmp_path / "video.mp4")[0] >= 5
    transfer(run, tmp_path / "strip.png", capture, view="orbit", size=48)
    assert read_image(tmp_path / "strip.png").shape == (48, 6 * 48, 3)


@pytest.mark.parametrize("view", [None, "orbit", "turn"])
def test_joints_alone_move_whoever_is_drawn_by_bones(view, run, lifted, tmp_path):
    transfer(run, tmp_path / "strip.png", lifted, view=view, size=48, overview=True)
    picture = read_image(tmp_path / "strip.png")
    assert picture.shape[0] > 48 and picture.std() > 5


def test_joints_keep_the_persons_own_bones_and_are_where_the_camera_saw_them(run, lifted):
    avatar = run.avatar()
    many, scenes = transferring.staged_joints(avatar, lifted, "front", 64)
    scene = next(scenes)
    start, end = torch.tensor(avatar.skeleton.edges[avatar.skeleton.edges.index((11, 13))])
    bone = (scene.joints[0, start, :3] - scene.joints[0, end, :3]).norm()
    wanted = float(avatar.lengths[avatar.skeleton.edges.index((11, 13))])
    assert float(bone) == pytest.approx(wanted, abs=1e-4)
    pixels, depth = scene.camera.project(scene.joints[..., :3])
    assert (pixels > 0).all() and (pixels < 64).all() and (depth > 0).all()


def test_looks_come_from_a_capture_one_of_its_pictures_or_any_picture(run, capture, tmp_path):
    own = run.avatar().source
    for looks in (str(capture.path), f"{capture.path}:side:8"):
        avatar = run.avatar()
        look_like(avatar, looks, capture)
        assert avatar.source.shape == own.shape and avatar.source.std() > 0.01
    write_image(tmp_path / "red.png", np.full((70, 40, 3), (200, 0, 0), np.uint8))
    avatar = run.avatar()
    look_like(avatar, str(tmp_path / "red.png"), capture)
    assert float(avatar.source[0, 0].max()) > 0.7 and float(avatar.source[0, 1].min()) < 0.1
    # the picture is as broad as a square is high: what is beside it is grey, not black
    assert float(avatar.source[0, 1, 32, 0]) == pytest.approx(0.5, abs=0.01)


def test_lending_leaves_the_avatar_itself_as_it_was_and_shares_its_networks(run, capture):
    avatar = run.avatar()
    before = avatar.source.clone()
    with torch.no_grad():
        drawn = avatar.looks(None)
        other = lent(avatar, f"{capture.path}:side:8", capture)
        assert torch.equal(avatar.source, before) and torch.equal(avatar.looks(None), drawn)
        assert other.encoder is avatar.encoder and other.body is avatar.body
        assert not torch.equal(other.looks(None), drawn)


def test_what_cannot_be_says_so(run, capture, lifted, tmp_path):
    def says(words, source=capture, **how):
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            transfer(run, tmp_path / how.pop("out", "a.mp4"), source, **how)

    says("ends in .mp4", out="a.avi")
    says("no view 'moon'", view="moon")
    says("does not exist", looks=tmp_path / "none.png")
    says("no picture of camera 'moon'", looks=f"{capture.path}:moon")
    says("lift", source=replace(lifted, joints=None))
    dance = film(torch.full((4,), 90.0), 60, 50)
    says("has keypoints alone, and a gaussian avatar isn't moved by them", source=dance)
    says("--align and --smooth are of keypoints; a gaussian avatar", align="limbs")
