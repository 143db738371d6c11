"""A film's keypoints drive an avatar that is drawn out of keypoints."""

from dataclasses import replace
from types import SimpleNamespace

import imageio_ffmpeg
import numpy as np
import pytest
import torch

from anr_core.avatars import Avatar, Rendering, Scene, configure
from anr_core.capture.pictures import read_image
from anr_core.cli import main
from anr_core.export.driving import staged_keypoints, window
from anr_core.export.transfer import transfer
from anr_core.layers import CAPTION_HEIGHT
from anr_core.layers.given import pictures_of
from anr_core.motion.keypoints import flat_motion, open_source, read_flat_motion
from anr_core.skeleton import BODY25, COCO17, COCO23
from anr_core.skeleton.detailed import BODY25_DETAILED
from tests.motion.flat import film, joint
from tests.motion.test_flat_motion import write
from tests.posed_capture import SIZE, make_posed_capture

pytestmark = pytest.mark.slow  # whole trainings, fits, films or timings

N = 20


class Dots(Avatar):
    """White where keypoints are, on black; all of it covers what is behind."""

    needs = ("keypoints",)

    def __init__(self, size=64, skeleton=None):
        super().__init__(configure(system="static", size=size), None)
        self.register_buffer("nothing", torch.zeros(1))
        self.scenes = []
        self.skeleton = skeleton or BODY25

    def points(self, scene):
        return scene.keypoints

    def forward(self, scene):
        self.scenes.append(scene)
        picture = torch.zeros(1, 3, *scene.size)
        for x, y, confidence in scene.keypoints[0].tolist():
            if confidence > 0.3 and 0 <= x < scene.size[1] and 0 <= y < scene.size[0]:
                picture[..., int(y), int(x)] = 1
        return Rendering(picture, torch.ones(1, 1, *scene.size))


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    """A capture without a body of somebody who walks before the camera "front", 60 pixels tall."""
    made = make_posed_capture(tmp_path_factory.mktemp("person") / "capture")
    seen = film(torch.full((3,), 85.0), 60, 90, size=SIZE)
    points = {("front", frame): seen.points[row] for row, frame in enumerate((4, 6, 8))}
    return replace(made, keypoints=points, skeleton="body25", registration=None, poses=None)


def run_of(person, avatar=None):
    return SimpleNamespace(avatar=lambda: avatar or Dots(), capture=lambda: person, config=Dots().config,
                           trained=[("front", 4), ("front", 6), ("front", 8)])


@pytest.fixture
def dance():
    return replace(film(torch.full((N,), 800.0), 600, 500 + 40 * torch.arange(N) / N, fps=10), size=None)


def test_the_person_stands_in_their_own_cameras_picture_as_a_whole(person, dance):
    many, scenes, _ = staged_keypoints(run_of(person), Dots(), dance, None, 64, 25)
    scenes = list(scenes)
    assert many == len(scenes) == round(19 / 10 * 25)  # at the video's rate
    whole, seen = person.cameras["front"], scenes[0].camera
    zoom = float(seen.K[0, 0, 0] / whole.K[0, 0, 0])
    assert float(seen.K[0, 1, 1] / whole.K[0, 1, 1]) == pytest.approx(zoom)  # nobody is stretched
    for scene in scenes:
        assert scene.posed is None and scene.camera_name == ["front"] and scene.keypoints.shape == (1, 25, 3)
        assert (scene.keypoints[..., :2] > 0).all() and (scene.keypoints[..., :2] < 64).all()
        feet = scene.keypoints[0, BODY25.names.index("left_big_toe"), 1]
        floor = (85 - float(whole.K[0, 1, 2])) * zoom + float(seen.K[0, 1, 2])
        assert float(feet) == pytest.approx(floor, abs=0.6)
        tall = feet - scene.keypoints[0, BODY25.names.index("nose"), 1]
        assert float(tall) == pytest.approx(0.93 * 60 * zoom, rel=0.02)


@pytest.mark.parametrize("feet, x", [(85, 90), (90, 17), (60, 163)])
def test_a_window_lies_in_the_picture_where_there_is_room(feet, x):
    motion = film(torch.full((N,), float(feet)), 50, float(x), size=SIZE)
    (left, top), side = window(motion, SIZE)
    assert left >= -0.01 and left + side <= SIZE[1] + 0.01
    places = motion.points[..., :2]
    assert (places.amin((0, 1)) > torch.stack([left, top])).all()
    assert (places.amax((0, 1)) < torch.stack([left, top]) + side).all()


def test_a_window_reaches_beyond_a_picture_that_is_too_small():
    motion = film(torch.full((N,), 90.0), 110, 90, size=SIZE)
    (left, top), side = window(motion, SIZE)
    assert top < 0 and side > SIZE[0] and left + side / 2 == pytest.approx(90, abs=3)


def test_an_avatars_own_skeleton_is_what_it_is_given(person, dance):
    avatar = Dots(skeleton=COCO17)
    _, scenes, _ = staged_keypoints(run_of(person, avatar), avatar, dance, None, 64, 25)
    assert next(scenes).keypoints.shape == (1, 17, 3)
    avatar = Dots(skeleton=BODY25_DETAILED)
    _, scenes, _ = staged_keypoints(run_of(person, avatar), avatar, dance, None, 64, 25)
    points = next(scenes).keypoints[0]
    assert points.shape == (135, 3) and not points[25:, 2].any() and points[:25, 2].all()


def test_one_and_the_same_person_is_driven_as_they_are(person):
    _, scenes, _ = staged_keypoints(run_of(person), Dots(), person, None, 64, person.fps, smooth=0)
    scene = next(scenes)
    corner, side = window(flat_motion(person), SIZE)
    points = (scene.keypoints[0, :, :2] * side / 64) + corner
    assert torch.allclose(points, person.keypoints["front", 4][:, :2], atol=0.01)


def test_the_pose_that_is_given_is_shown_as_bones(person):
    points = torch.zeros(1, 25, 3)
    for name, x in (("left_knee", 10.0), ("left_ankle", 50.0), ("right_knee", 10.0), ("right_ankle", 50.0)):
        points[0, BODY25.names.index(name)] = torch.tensor([x, 20.0 if "left" in name else 40.0, 0.9])
    bones = pictures_of(Dots(), Scene(None, person.cameras["front"], (64, 64), points))["skeleton"]
    assert bones.shape == (1, 3, 64, 64)
    assert bones[0, :, 20, 30].tolist() == [1, 1, 0] and bones[0, :, 40, 30].tolist() == [1, 0, 0]
    assert bones.sum() <= 3 * 41 * 3


def test_an_overview_shows_the_steps_that_are_asked_for(person, dance, tmp_path):
    source = read_flat_motion(write(tmp_path / "json", dance), fps=10)
    transfer(run_of(person), tmp_path / "strip.png", source, overview=("motion", "skeleton", "result"))
    assert read_image(tmp_path / "strip.png").shape == (64 + CAPTION_HEIGHT, 6 * 3 * 64, 3)


def test_a_folder_of_json_becomes_a_video(person, dance, tmp_path):
    source = read_flat_motion(write(tmp_path / "json", dance), fps=10)
    transfer(run_of(person), tmp_path / "video.mp4", source)
    assert imageio_ffmpeg.count_frames_and_secs(tmp_path / "video.mp4")[0] == round(1.9 * 25)
    for how in ("scale", "none"):
        transfer(run_of(person), tmp_path / "strip.png", source, align=how, smooth=0.0)
        assert read_image(tmp_path / "strip.png").shape == (64, 6 * 64, 3)


def test_an_overview_shows_who_drives_the_aligned_bones_and_the_result(person, dance, tmp_path):
    transfer(run_of(person), tmp_path / "strip.png", replace(dance, source=tmp_path), overview=True)
    picture = read_image(tmp_path / "strip.png")
    height, width = picture.shape[0] - 16, picture.shape[1] // 6
    assert (height, width) == (64, 4 * 64)  # motion, skeleton, mask, result
    motion, bones, _, result = np.split(picture[16:, :width].max(2) > 128, 4, axis=1)
    assert motion.any() and bones.any() and (bones & result).sum() > 0.5 * result.sum()


def test_an_overview_shows_the_film_where_there_is_one(person, tmp_path):
    _, scenes, beside = staged_keypoints(run_of(person), Dots(), person, None, 64, 25,
                                         film=lambda moment, size: torch.full((1, 3, *size), moment))
    assert float(beside(0, next(scenes))["motion"].mean()) == 4
    transfer(run_of(person), tmp_path / "strip.png", person, overview=True)
    assert 90 <= int(read_image(tmp_path / "strip.png")[16 + 32, 32, 0]) <= 130  # its pictures are grey


def test_pictures_of_another_size_have_their_keypoints_where_they_belong(person, dance):
    drawn = {}
    for size in (64, 640):  # the latter is drawn smaller, and then resized
        avatar = Dots()
        _, scenes, _ = staged_keypoints(run_of(person), avatar, dance, None, size, 25)
        assert avatar.draw(next(scenes)).rgb.shape[-1] == size
        (scene,) = avatar.scenes
        drawn[size] = scene.keypoints[..., :2] / scene.size[0]
    assert torch.allclose(drawn[64], drawn[640], atol=1e-5)


def test_a_source_of_another_size_with_a_lost_hand_and_a_bystander_drives_too(person, dance, tmp_path):
    points = dance.points.clone()
    points[5:8, BODY25.names.index("right_wrist")] = 0
    points[..., :2] *= 3
    bystander = (points[0] * torch.tensor([0.2, 0.2, 1])).numpy()
    folder = write(tmp_path, replace(dance, points=points), skip=(11,), others=[bystander])
    many, scenes, _ = staged_keypoints(run_of(person), Dots(), read_flat_motion(folder, 10), None, 64, 25)
    wrists = torch.stack([scene.keypoints[0, BODY25.names.index("right_wrist")] for scene in scenes])
    assert many == 48 and (wrists[:, 2] > 0.3).all()
    assert float(wrists[:, :2].diff(dim=0).norm(dim=1).max()) < 3


class Embodied(Dots):
    """Dots that would rather have a body."""

    knows_bodies = True


@pytest.fixture(scope="module")
def embodied(tmp_path_factory):
    """A capture of somebody whose body is known, and whose arm comes up."""
    return make_posed_capture(tmp_path_factory.mktemp("embodied") / "capture")


def test_the_persons_own_body_takes_the_poses_that_drive_it_and_is_seen_as_a_whole(embodied):
    avatar = Embodied(skeleton=COCO23)
    many, scenes, _ = staged_keypoints(run_of(embodied), avatar, embodied, None, 64, 10, "none", 0)
    scenes, front = list(scenes), flat_motion(embodied, "front")
    assert many == len(scenes) == 4
    for scene, points in zip(scenes, front.at(torch.linspace(4, 8, 4)).points, strict=True):
        assert scene.posed.vertices.shape == embodied.body(embodied.poses[:1]).vertices.shape
        found, _ = scene.camera.project(embodied.body.keypoints(scene.posed, "coco23"))
        assert float((found - scene.keypoints[..., :2]).norm(dim=-1).mean()) < 0.6  # of 64
        seen, depth = scene.camera.project(scene.posed.vertices)
        assert (depth > 0).all() and (seen > 0).all() and (seen < 64).all()
        assert points[:, 2].all()


def test_nobodys_body_is_fitted_where_that_is_not_wanted_or_there_is_none(embodied, person, dance):
    avatar = Embodied(skeleton=COCO23)
    _, scenes, _ = staged_keypoints(run_of(embodied), avatar, embodied, None, 64, 10, fit=False)
    assert next(scenes).posed is None
    _, scenes, _ = staged_keypoints(run_of(embodied), Dots(skeleton=COCO23), embodied, None, 64, 10)
    assert next(scenes).posed is None
    _, scenes, _ = staged_keypoints(run_of(person), Embodied(), dance, None, 64, 25)
    assert next(scenes).posed is None


def test_what_cannot_be_says_so_in_one_line(person, dance, tmp_path):
    def says(words, source=dance, run=None, **how):
        with pytest.raises((ValueError, FileNotFoundError), match=words) as error:
            transfer(run or run_of(person), tmp_path / "a.mp4", source, **how)
        assert "\n" not in str(error.value)

    says("no view 'orbit'; use one of front, side", view="orbit")
    says("An alignment 'bones' is unknown", align="bones")
    says("Smoothing over -1", smooth=-1.0)
    says("Camera side has no keypoints", view="side")
    says("one person's looks", looks="somebody.jpg")
    says("has no keypoints. Find them", source=replace(person, keypoints={}))
    unmoved = Dots()
    unmoved.needs = ("posed", "camera")
    says("has keypoints alone, and a static avatar isn't moved by them", run=run_of(person, unmoved))
    says("--align and --smooth are of keypoints", run=run_of(person, unmoved), align="scale")


def test_a_source_is_a_capture_or_a_folder_of_json(person, dance, tmp_path, capsys):
    assert open_source(person.path).path == person.path
    assert open_source(write(tmp_path / "json", dance), 12).fps == 12
    with pytest.raises(ValueError, match="is a capture, of 10 frames a second: --fps is of folders"):
        open_source(person.path, 12)
    with pytest.raises(FileNotFoundError, match="has no capture.json"):
        open_source(tmp_path / "nowhere")
    with pytest.raises(SystemExit):
        main(["transfer", "--help"])
    told = capsys.readouterr().out
    assert all(option in told for option in ("--align", "--smooth", "--fps"))
    assert joint(dance, "nose").shape == (N, 3)
