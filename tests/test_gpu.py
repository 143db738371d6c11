"""On a GPU, where there is one: it draws, learns and judges as a CPU does."""

import math
from dataclasses import replace

import pytest
import torch

from anr_core import gaussians
from anr_core.avatars import Scene
from anr_core.avatars.run import load_avatar
from anr_core.bench.made_up import gaussian_bones, person, view
from anr_core.body import Pose
from anr_core.body.anny import AnnyBody
from anr_core.camera import Camera
from anr_core.capture import load_capture
from anr_core.evaluation import evaluate
from anr_core.rasterizer import gbuffer, rasterize
from anr_core.training import scene_of, train
from tests.danced import make_danced_capture
from tests.posed_capture import make_posed_capture

DEVICE = "cuda"
TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4}
BONES = {"size": 64, "window": 64, "batch": 2, "width": 4, "levels": 2, "features": 4, "encoder_width": 4,
         "encoder_depth": 14, "source_size": 64, "lifter_width": 64, "skeleton": "coco23", "refine_from": 0}
# what each system is trained with; together they pass through all that is trained along
SETTINGS = {"anr": TINY | {"structure": 0.1, "adversary": 0.001, "workers": 1}, "deferred": TINY,
            "static": TINY, "smplpix": TINY | {"adversary": 0.001},
            "neural-body": {"size": 64, "batch": 2, "texture_size": 64, "width": 4, "hidden": 16, "latent": 8,
                            "voxel": 0.03, "rays": 64, "samples": 20},
            "gaussian": BONES | {"course": "pose, pictures, adversary", "adversary": 1.0},
            "dynamic-texture": TINY | {"levels": 2, "features": 4, "generator_width": 4, "generator_depth": 1,
                                       "chart_size": 16, "made_up": 2, "skeleton": "coco23",
                                       "adversary": 0.001, "workers": 1}}
# those that are trained on a body which they can pose
POSED = ("gaussian", "dynamic-texture")

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.fixture(scope="module")
def posed_capture(tmp_path_factory):
    return make_posed_capture(tmp_path_factory.mktemp("posed") / "capture", masked=True)


@pytest.fixture(scope="module")
def runs(small_capture, posed_capture, tmp_path_factory):
    """Read only: a function that gives the run of a system, trained on the GPU, and the steps' progress."""
    made, folder = {}, tmp_path_factory.mktemp("runs")

    def run_of(system, steps=6, **changes):
        key = system, steps, *changes.items()
        if key not in made:
            capture = posed_capture if system in POSED else load_capture(small_capture.path)
            frames = [4, 8] if system in POSED else [0, 2, 3]
            run = folder / "-".join(map(str, key))
            made[key] = run, list(train(capture, run, system, steps=steps, frames=frames,
                                        config=SETTINGS[system] | changes))
        return made[key]

    return run_of


@pytest.fixture(autouse=True)
def exact_convolutions(monkeypatch):
    """Those of a GPU keep ten bits of their numbers where nobody asks for more."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def first_view(run, capture):
    """A view of the capture with its mesh, on the CPU."""
    avatar = load_avatar(run)
    shown = load_capture(capture.path).views(crop="body", size=64)[0]
    return avatar, *avatar.placed(shown, avatar.body)


def assert_alike(found, expected, mean=2e-3):
    """Pictures that differ in few pixels by more than a hundredth: an outline's may be of another face."""
    apart = (found.cpu().float() - expected.float()).abs()
    assert apart.isfinite().all() and float(apart.mean()) < mean
    assert float((apart > 0.02).float().mean()) < 0.005


# drawing


@pytest.mark.parametrize("size", [64, 512])
def test_the_same_faces_are_seen(size):
    body = person()
    posed, camera = body(Pose.of_frame(torch.tensor([0.2, 0.9]))), Camera.cat([view(size), view(size, 1.5)])
    seen = rasterize(posed.vertices, posed.surface.faces, camera, (size, size))
    again = rasterize(posed.vertices.to(DEVICE), posed.surface.faces.to(DEVICE), camera.to(DEVICE),
                      (size, size))
    same = again.face_id.cpu() == seen.face_id
    assert float((~same).float().mean()) <= 1e-5  # float64's last bit, on an edge
    torch.testing.assert_close(again.barycentric.cpu()[same], seen.barycentric[same], rtol=0, atol=1e-5)
    torch.testing.assert_close(again.depth.cpu()[same], seen.depth[same], rtol=0, atol=1e-5)


def test_gradients_of_a_drawn_mesh_are_the_same():
    gradients = []
    for device in ("cpu", DEVICE):
        body = person().to(device)
        posed = body(Pose.of_frame(torch.tensor([0.5], device=device)))
        vertices = posed.vertices.clone().requires_grad_()
        fragments = rasterize(vertices, posed.surface.faces, view(128).to(device), (128, 128))
        (fragments.depth.square().sum() + fragments.barycentric.square().sum()).backward()
        gradients.append(vertices.grad.cpu())
    largest = float(gradients[0].abs().max())
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-3 * largest)


def test_surfaces_have_the_same_normals_and_coordinates():
    buffers = []
    for device in ("cpu", DEVICE):
        body = person().to(device)
        buffers.append(gbuffer(body(Pose.of_frame(torch.tensor([0.5], device=device))), view(256).to(device),
                               (256, 256)))
    for name in ("normal", "camera_normal", "uv", "towards"):
        seen, again = (buffer.image(getattr(buffer, name)).cpu() for buffer in buffers)
        assert_alike(again, seen, mean=1e-4)


def test_a_body_stands_the_same():
    body = AnnyBody()
    pose = body.rest_pose()
    expected = body(pose).vertices
    torch.testing.assert_close(body.to(DEVICE)(pose.to(DEVICE)).vertices.cpu(), expected, rtol=0, atol=1e-5)


def test_gaussians_are_drawn_the_same_and_so_are_their_gradients():
    bones = gaussian_bones(AnnyBody())
    looks = torch.rand(bones.means.shape[1], 4, generator=torch.Generator().manual_seed(0))
    drawn = []
    for device in ("cpu", DEVICE):
        leaves = [value.detach().to(device).requires_grad_() for value in list(bones)[:3]]
        appearance = looks.to(device, copy=True).requires_grad_()
        solids = gaussians.Solids(*leaves, bones.present.to(device))
        picture = gaussians.draw(solids, appearance, torch.zeros(4, device=device), view(128).to(device))
        picture.square().sum().backward()
        drawn.append([value.cpu() for value in (picture.detach(), appearance.grad, leaves[0].grad)])
    for found, expected in zip(*reversed(drawn), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


@pytest.mark.parametrize("system", SETTINGS)
def test_what_was_trained_draws_the_same_on_both(system, runs, small_capture, posed_capture):
    run, _ = runs(system)
    capture = posed_capture if system in POSED else small_capture
    avatar, shown, posed = first_view(run, capture)
    expected = avatar.draw(scene_of(shown, posed))
    avatar.to(DEVICE)
    drawn = avatar.draw(scene_of(shown.to(DEVICE), posed.on(avatar.surface)))
    for name in ("rgb", "mask"):
        assert getattr(drawn, name).device.type == DEVICE
        assert_alike(getattr(drawn, name), getattr(expected, name))
    assert drawn.layers.keys() == expected.layers.keys()


def test_a_dynamic_texture_samples_the_same_parts(runs, posed_capture):
    """Of a generator that is sure of something, as few steps don't make one."""
    avatar, shown, posed = first_view(runs("dynamic-texture")[0], posed_capture)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        avatar.generator.leave.bias[:4] = 0
        avatar.generator.leave.weight.copy_(0.3 * torch.randn(avatar.generator.leave.weight.shape,
                                                              generator=random))
        avatar.texture.write(torch.rand(avatar.parts, 3, 16, 16, generator=random))
    # with keypoints, and with those of the body alone
    for points in (shown.keypoints, None):
        scene = replace(scene_of(shown, posed), keypoints=points)
        expected = avatar.to("cpu").draw(scene)
        assert expected.layers["coverage"].mean() > 0.5
        avatar.to(DEVICE)
        there = replace(scene_of(shown.to(DEVICE), posed.on(avatar.surface)),
                        keypoints=None if points is None else points.to(DEVICE))
        drawn = avatar.draw(there)
        for name in ("behind", "known", "coverage"):
            assert_alike(drawn.layers[name], expected.layers[name])
        assert_alike(drawn.over(0.5), expected.over(0.5))


def test_a_background_is_behind_the_same_window(runs, posed_capture):
    avatar, shown, _ = first_view(runs("dynamic-texture")[0], posed_capture)
    assert avatar.to(DEVICE).background("front").device.type == DEVICE
    with torch.autocast(DEVICE, torch.bfloat16):
        cast, known = avatar.backgrounds(shown.camera.to(DEVICE), shown.camera_name, (64, 64))
    expected, there = avatar.to("cpu").backgrounds(shown.camera, shown.camera_name, (64, 64))
    assert cast.dtype == torch.float32 and torch.equal(known.cpu(), there)
    assert_alike(cast.detach(), expected.detach())


def test_densepose_s_labels_are_learned(tmp_path):
    steps = list(train(make_danced_capture(tmp_path), tmp_path / "run", "dynamic-texture", steps=6,
                       config=SETTINGS["dynamic-texture"] | {"skeleton": ""}))
    assert load_avatar(tmp_path / "run").config.labels == "densepose"
    assert all(math.isfinite(loss) for step in steps for loss in step.losses.values())


def test_a_pose_and_a_camera_are_enough(runs):
    avatar = load_avatar(runs("gaussian")[0]).to(DEVICE)
    picture = avatar.render(avatar.body.rest_pose(), view(64).to(DEVICE), (64, 64))
    assert picture.rgb.device.type == DEVICE and picture.rgb.isfinite().all()
    larger = Scene(avatar.body(avatar.body.rest_pose()), view(160).to(DEVICE), (160, 160))
    assert avatar.draw(larger).rgb.shape[-2:] == (160, 160)


# learning


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("system", [system for system in SETTINGS if system != "static"])
def test_every_system_learns(system, precision, runs):
    changes = {} if precision == "32-true" else {"precision": precision}
    _, steps = runs(system, **changes)
    assert len(steps) == 6
    assert all(math.isfinite(loss) for step in steps for loss in step.losses.values())


def test_a_long_training_gets_better(runs):
    _, steps = runs("deferred", steps=60)
    first, last = (sum(step.losses["l1"] for step in some) for some in (steps[:10], steps[-10:]))
    assert last < 0.8 * first


def test_registrations_are_refined(small_capture, tmp_path):
    for _ in train(small_capture.path, tmp_path / "run", steps=2, refine=True, config=TINY):
        pass
    assert load_avatar(tmp_path / "run").refinement is not None


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_what_was_left_goes_on_to_about_the_same(precision, small_capture, tmp_path):
    config = SETTINGS["anr"] | {"precision": precision}
    for name in ("whole", "left"):
        steps = train(small_capture.path, tmp_path / name, steps=8, config=config)
        if name == "left":
            for _ in range(5):
                next(steps)
            steps.close()
            steps = train(small_capture.path, tmp_path / name, steps=8, config=config)
        for progress in steps:
            assert progress.step > 5 or name == "whole"
    drawn = []
    for name in ("whole", "left"):
        avatar, shown, posed = first_view(tmp_path / name, small_capture)
        drawn.append(avatar.draw(scene_of(shown, posed)).over(0.5))
    assert float((drawn[0] - drawn[1]).abs().mean()) < 0.01


# judging


@pytest.mark.parametrize("system", ["anr", "gaussian", "dynamic-texture"])
def test_judged_as_on_a_cpu(system, runs, monkeypatch):
    run, _ = runs(system)
    judged = evaluate(run, protocol="inside")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for split, figures in evaluate(run, protocol="inside").items():
        for method, numbers in figures["inside"].items():
            assert judged[split]["inside"][method]["psnr"] == pytest.approx(numbers["psnr"], abs=0.1), method
