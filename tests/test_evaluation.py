"""Evaluation: who is judged on what, by avatars whose figures are known beforehand."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from anr_core import evaluation, metrics
from anr_core.avatars import Avatar, Config, Rendering
from anr_core.body import Surface, TrackedBody
from anr_core.camera import look_at
from anr_core.capture.folder import Capture, Shot
from anr_core.capture.pictures import write_image, write_mask
from anr_core.training import train

SIZE = 40

# A quad of 1 m, seen from 2 m: 20 of 40 pixels.
CORNERS = torch.tensor([[-0.5, -0.5, 0.0], [0.5, -0.5, 0.0], [0.5, 0.5, 0.0], [-0.5, 0.5, 0.0]])
SURFACE = Surface(torch.tensor([[0, 1, 2], [0, 2, 3]]), torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]]),
                  torch.tensor([[0, 1, 2], [0, 2, 3]]), torch.tensor([1, 1]))
BODY = TrackedBody(torch.arange(4), CORNERS.expand(4, 4, 3), SURFACE)


def camera(x=0.0):
    K = torch.tensor([[[40.0, 0, 20], [0, 40, 20], [0, 0, 1]]])
    return look_at(torch.tensor([[x, 0.0, -2]]), torch.zeros(1, 3), (0, -1, 0), K, (SIZE, SIZE))


class Painter(Avatar):
    """Draws what it is told to, by frame."""

    def __init__(self, rgb, mask, needs=("posed", "camera", "frame")):
        super().__init__(Config(size=SIZE), SURFACE)
        self.rgb, self.mask, self.needs = rgb, mask, needs
        self.scenes = []

    def forward(self, scene):
        self.scenes.append(scene)
        frame = int(scene.frame) if scene.frame is not None else 0
        return Rendering(self.rgb[frame][None], self.mask[frame][None])


def shots(*pairs, **fields):
    return [Shot(c, f, f"frames/{c}/{f}.png", f"masks/{c}/{f}.png", f"certain/{c}/{f}.png", **fields)
            for c, f in pairs]


@pytest.fixture
def capture(tmp_path):
    """Two cameras, four frames; the person is the quad in noise, its outline uncertain by a pixel."""
    random = np.random.default_rng(0)
    pairs = [(name, frame) for name in ("a", "b") for frame in range(4)]
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[10:30, 10:30] = 255
    ring = np.zeros((SIZE, SIZE), bool)
    ring[9:31, 9:31] = True
    ring[11:29, 11:29] = False
    for folder in (f"{kind}/{name}" for kind in ("frames", "masks", "certain") for name in ("a", "b")):
        (tmp_path / folder).mkdir(parents=True)
    for name, frame in pairs:
        write_image(tmp_path / f"frames/{name}/{frame}.png",
                    random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8))
        write_mask(tmp_path / f"masks/{name}/{frame}.png", mask)
        write_mask(tmp_path / f"certain/{name}/{frame}.png", ~ring)
    return Capture(tmp_path, {"a": camera(), "b": camera()}, shots(*pairs), BODY, "test", "none", 30.0,
                   torch.tensor([0.0, -1, 0]), "nobody", {})


def crops(capture, name="a"):
    """Pictures and masks by frame of a camera, as evaluation crops them."""
    views = capture.views(cameras=[name], crop="body", size=SIZE)
    return ({int(view.frame): getattr(view, field)[0] for view in views} for field in ("image", "mask"))


def views_of(capture, *pairs):
    chosen = replace(capture, shots=shots(*pairs)).views(crop="body", size=SIZE)
    return [(chosen[i], BODY(chosen[i].pose)) for i in range(len(chosen))]


def contestants(avatar, static=None):
    grey = {frame: torch.full((3, SIZE, SIZE), 0.5) for frame in range(4)}
    static = static or Painter(grey, {frame: torch.ones(1, SIZE, SIZE) for frame in range(4)})
    return evaluation.Contestants("painter", avatar, static, torch.full((3,), 0.25), frozenset("a"))


# protocols


def truth_of_four():
    """Four pixels: person; person beside the mesh; uncertain person; background in the box."""
    row = dict(mask=[1, 1, 1, 0], certain=[1, 1, 0, 1], covered=[1, 0, 1, 1], boxed=[1, 0, 1, 1])
    planes = {name: np.array([values], np.float32 if name == "mask" else bool)
              for name, values in row.items()}
    return metrics.Truth(np.full((1, 4, 3), 0.8, np.float32), **planes, iuv=np.zeros((1, 4, 3)))


@pytest.mark.parametrize("name, pixels, prediction, truth", [
    ("whole", [1, 1, 0, 1], [0.2, 0.2, 0.4, 0.4], [0.8, 0.8, 0.8, 0]),
    ("neuralbody", [1, 0, 0, 1], [0.2, 0.2, 0.4, 0.4], [0.8, 0.8, 0.8, 0]),
    ("inside", [1, 0, 0, 0], [0.4, 0.4, 0.4, 0.4], [0.8, 0.8, 0.8, 0.8]),
])
def test_a_protocol_compares_these_pixels(name, pixels, prediction, truth):
    rgb, mask = np.full((1, 4, 3), 0.4, np.float32), np.array([[0.5, 0.5, 1, 1]], np.float32)
    compared = metrics.PROTOCOLS[name](truth_of_four(), rgb, mask)
    np.testing.assert_array_equal(compared.pixels[0], np.array(pixels, bool))
    np.testing.assert_allclose(compared.prediction[0, :, 0], prediction)
    np.testing.assert_allclose(compared.truth[0, :, 0], truth)


# splits


@pytest.mark.parametrize("trained, judged, expected", [
    ([("a", 0), ("b", 1)], ("c", 1), "novel_view"),
    ([("a", 0), ("b", 1)], ("a", 1), "novel_view"),
    ([("a", 0), ("b", 0)], ("a", 5), "novel_pose"),
    ([("a", 0), ("b", 0)], ("c", 5), "novel_both"),
    ([("a", 0), ("a", 1)], ("a", 2), "novel_pose"),
    ([("0000", 0), ("0001", 1)], ("0002", 2), "novel_view"),  # one camera a frame: a person who turns
])
def test_a_split_says_what_training_has_not_seen(trained, judged, expected):
    (split, (shot,)), = evaluation.split_of(shots(*trained, judged), trained).items()
    assert (split, shot.camera, shot.frame) == (expected, *judged)


def test_interpolated_views_are_not_judged():
    assert evaluation.split_of(shots(("a", 1), registered=False), [("a", 0)]) == {}


# what draws


def test_a_scene_holds_what_is_needed_and_knows_trained_cameras_only(capture):
    (view, posed), = views_of(capture, ("b", 1))
    avatar = Painter({}, {}, needs=("posed", "camera_name"))
    scene = evaluation.scene_for(avatar, view, posed, {"a"})
    assert scene.posed is posed and scene.camera_name == [None] and scene.size == (SIZE, SIZE)
    assert all(getattr(scene, name) is None for name in ("camera", "frame", "keypoints", "source", "image"))
    assert evaluation.scene_for(avatar, view, posed, {"b"}).camera_name == ["b"]


def test_holes_take_the_colour_of_the_nearest_covered_pixel():
    rgb = torch.zeros(1, 3, 1, 6)
    rgb[..., 1], rgb[..., 5] = 0.3, 0.9
    covered = torch.tensor([0, 1, 0, 0, 0, 1]).bool().view(1, 1, 1, 6)
    filled = evaluation.extend(rgb, covered)[0, 0, 0]
    torch.testing.assert_close(filled[[0, 1, 2, 4, 5]], torch.tensor([0.3, 0.3, 0.3, 0.9, 0.9]))


# figures


def test_a_perfect_avatar_reaches_the_cap_whatever_it_draws_where_nothing_is_certain(capture):
    image, mask = crops(capture)
    for view in capture.views(cameras=["a"], crop="body", size=SIZE):
        image[int(view.frame)][:, ~view.certain[0, 0]] = 1.0
        mask[int(view.frame)][:, ~view.certain[0, 0]] = 1.0
    views = views_of(capture, ("a", 0), ("a", 1))
    _, second = (figures for *_, figures in evaluation.measure(views, contestants(Painter(image, mask))))
    for protocol in ("whole", "neuralbody", "inside"):
        figures = second[protocol]["painter"]
        assert figures["psnr"] == figures["psnr_aligned"] == metrics.PSNR_CAP
        assert figures["ssim"] in (None, pytest.approx(1)) and figures["flip"] == pytest.approx(0, abs=1e-6)
        assert figures["mask_iou"] == 1 and figures["flicker"] == 0
        assert second[protocol]["static"]["psnr"] < 20


def test_methods_stand_under_the_avatars_mask(capture):
    image, mask = crops(capture)
    half = {frame: torch.zeros(1, SIZE, SIZE) for frame in range(4)}
    half[0][:, :20] = 1
    texture = {0: image[0].clone()}
    texture[0][:, 20:] = 0
    static = Painter(texture, half)
    (view, posed), = views_of(capture, ("a", 0))
    drawn = contestants(Painter(image, mask), static).draw(view, posed)
    assert list(drawn) == ["static", "static_masked", "mean", "painter"]
    assert (drawn["static"].mask == half[0]).all()
    for method in ("static_masked", "mean"):
        assert (drawn[method].mask == mask[0]).all()
    assert (drawn["static_masked"].rgb[0, :, 20:] == image[0][:, 19:20]).all()
    assert (drawn["mean"].rgb == 0.25).all()


def test_flicker_is_between_neighbours_of_one_camera(capture):
    image, mask = crops(capture)
    wrong = {frame: (picture + 0.25 * (-1) ** frame) for frame, picture in image.items()}
    views = views_of(capture, ("a", 0), ("a", 1), ("a", 2), ("b", 3))
    views[2] = replace(views[2][0], time=views[2][0].time + 1), views[2][1]
    found = [figures["inside"]["painter"]["flicker"]
             for *_, figures in evaluation.measure(views, contestants(Painter(wrong, mask)))]
    assert found == [None, pytest.approx(0.5, abs=1e-6), None, None]


def test_an_average_is_over_views_that_have_the_figure():
    blank = dict.fromkeys(metrics.FIGURES)
    figures = [{"whole": {"mean": blank | {"psnr": value}}} for value in (10.0, None, 20.0)]
    assert evaluation.average(figures) == {"whole": {"mean": blank | {"psnr": 15.0}}}


def test_a_diverged_avatar_is_named(capture):
    nothing = {frame: torch.full((3, SIZE, SIZE), torch.nan) for frame in range(4)}
    avatar = contestants(Painter(nothing, {frame: torch.ones(1, SIZE, SIZE) for frame in range(4)}))
    with pytest.raises(ValueError, match="NaN in a, frame 2"):
        list(evaluation.measure(views_of(capture, ("a", 2)), avatar))


# a capture


def test_a_capture_is_judged_by_splits_and_shown(capture, tmp_path, capsys):
    image, mask = crops(capture)
    trained = [("a", 0), ("a", 1)]
    results = evaluation.evaluate_capture(contestants(Painter(image, mask)), trained, capture, SIZE,
                                          folder=tmp_path / "evaluation")
    assert list(results) == ["novel_view", "novel_pose", "novel_both"]
    assert set(results["novel_pose"]) == {"whole", "neuralbody", "inside"}
    assert set(results["novel_pose"]["whole"]) == {"painter", "static", "static_masked", "mean"}
    assert tuple(results["novel_pose"]["whole"]["painter"]) == metrics.FIGURES
    assert results["novel_pose"]["inside"]["painter"]["psnr"] == metrics.PSNR_CAP
    json.dumps(results, allow_nan=False)
    printed = capsys.readouterr().out
    assert "novel_pose: 2 views at 40x40 pixels" in printed and "n/a" in printed
    assert all(words in printed for words in ("5 cm", "over black", "without compositing"))
    for split in results:
        picture = Image.open(io.BytesIO((tmp_path / "evaluation" / f"{split}.png").read_bytes()))
        assert picture.width == len(evaluation.SHEET_COLUMNS) * evaluation.SHEET_TILE
    assert len(list((tmp_path / "evaluation").iterdir())) == 3


def test_one_protocol_can_be_asked_for(capture):
    image, mask = crops(capture)
    chosen = {"inside": metrics.PROTOCOLS["inside"]}
    painter = contestants(Painter(image, mask))
    results = evaluation.evaluate_capture(painter, [("a", 0)], capture, SIZE, chosen)
    assert set(results["novel_pose"]) == {"inside"}


def test_a_capture_of_another_body_is_refused(capture):
    other = replace(SURFACE, faces=SURFACE.faces.flip(1))
    foreign = replace(capture, registration=TrackedBody(torch.arange(4), CORNERS.expand(4, 4, 3), other))
    with pytest.raises(ValueError, match="same body"):
        evaluation.evaluate_capture(contestants(Painter({}, {})), [("a", 0)], foreign, SIZE)


def test_a_capture_with_nothing_left_to_judge_is_refused(capture):
    trained = [(shot.camera, shot.frame) for shot in capture.shots]
    with pytest.raises(ValueError, match="--frames"):
        evaluation.evaluate_capture(contestants(Painter({}, {})), trained, capture, SIZE)


# a run


@pytest.fixture(scope="module")
def static_run(small_capture, tmp_path_factory):
    """Two of three cameras and two of three frames, unwrapped."""
    run = tmp_path_factory.mktemp("evaluated") / "run"
    list(train(small_capture, run, "static", steps=1, cameras=["cam01", "cam02"], frames=[0, 2],
               config={"size": 48, "texture_size": 64}))
    return run


def test_a_run_is_judged_on_what_it_was_not_trained_on(static_run, tmp_path):
    file = tmp_path / "figures.json"
    results = evaluation.evaluate(static_run, protocol="inside", json=file)
    assert json.loads(file.read_text()) == results
    protocols = json.loads(file.with_name("figures.protocols.json").read_text())
    assert {name: told["version"] for name, told in protocols.items()} == {"inside": 1}
    assert list(results) == ["novel_view", "novel_pose", "novel_both"]
    assert set(results["novel_view"]["inside"]) == {"static", "static_masked", "mean"}
    figures = results["novel_pose"]["inside"]
    assert figures["static"]["psnr"] > figures["mean"]["psnr"] + 3
    assert sorted(path.stem for path in (static_run / "evaluation").iterdir()) == sorted(results)


def test_a_protocol_that_is_unknown_is_named_with_those_there_are(static_run):
    with pytest.raises(ValueError, match="'outside' is unknown.*whole, neuralbody, inside"):
        evaluation.evaluate(static_run, protocol="outside")


def test_a_run_is_judged_at_another_size_on_another_capture(static_run, small_capture, capsys):
    results = evaluation.evaluate(static_run, small_capture.path, "whole", size=40)
    assert "novel_both: 1 views at 40x40 pixels" in capsys.readouterr().out
    assert results["novel_both"]["whole"]["static"]["mask_iou"] > 0.7
