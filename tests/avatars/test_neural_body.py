"""Neural Body: what it draws of which rays, with which frame's latent, in how much memory."""

from dataclasses import replace

import pytest
import torch

from anr_core.avatars import Scene, configure, make_avatar
from anr_core.avatars.neural_body import PRESETS, standing
from anr_core.avatars.run import load_avatar
from anr_core.body import Posed
from anr_core.evaluation import evaluate
from anr_core.export.volumes import choose_latent
from anr_core.training import scene_of, train
from anr_core.training.rays import Rays, patches, pools
from anr_core.volume import MARGIN, Diffusion, Field, Tracer
from tests.posed_capture import make_posed_capture

pytestmark = pytest.mark.slow  # whole trainings, fits, films or timings

TINY = {"size": 48, "batch": 2, "texture_size": 64, "width": 4, "hidden": 16, "latent": 8, "voxel": 0.03,
        "samples": 20, "rays": 64, "refine_from": 0}


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return make_posed_capture(tmp_path_factory.mktemp("posed") / "capture", masked=True)


@pytest.fixture(scope="module")
def views(capture):
    return list(capture.views(crop="body", size=48))


def build(capture, views, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = configure(system="neural-body", **TINY | changes)
        pictures = [(view.camera_name[0], int(view.frame)) for view in views]
        avatar = make_avatar(config, capture.body.surface, pictures)
    avatar.begin(avatar.stages(config)[0], lambda most=None: ((view, posed(capture, view)) for view in views))
    return avatar


def posed(capture, view):
    mesh = capture.body(view.pose)
    return Posed(mesh.vertices, mesh.joints, capture.body.surface)


def scene(capture, view):
    return scene_of(view, posed(capture, view))


@pytest.fixture(scope="module")
def trained(capture, tmp_path_factory):
    run = tmp_path_factory.mktemp("run") / "run"
    for _ in train(capture, run, "neural-body", steps=30, config=TINY | {"rate": 5e-3}):
        pass
    return run


# what it draws


def test_the_published_network_has_its_number_of_parameters():
    """4.37 M with SMPL's vertices and 300 frames, as its authors count."""
    base = PRESETS["base"]
    diffusion = Diffusion(base.code, base.width)
    networks = [diffusion, Field(diffusion.channels, base.hidden, base.latent)]
    count = sum(parameter.numel() for network in networks for parameter in network.parameters())
    assert count + 6890 * base.code + 300 * base.latent == 4_370_596


def test_pixels_alone_are_the_same_pixels_of_the_whole(capture, views):
    avatar, view = build(capture, views, density="softplus").eval(), views[0]
    rows, columns = torch.randint(48, (1, 30)), torch.randint(48, (1, 30))
    with torch.no_grad():
        whole = avatar(scene(capture, view))
        some = avatar(scene(capture, view.at(rows, columns)))
    assert some.rgb.shape == (1, 3, 1, 30) and float(some.mask.max()) > 0.1
    torch.testing.assert_close(some.rgb, whole.rgb[..., rows, columns], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(some.mask, whole.mask[..., rows, columns], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(some.depth, whole.depth[..., rows, columns], atol=1e-4, rtol=1e-4)


def test_drawing_leaves_out_only_what_is_not_seen(capture, views):
    """Without gradients rays end behind the person and come in pieces; the picture is the same."""
    avatar, view = build(capture, views).eval(), views[0]
    whole = avatar(scene(capture, view))
    avatar.memory = 1e-3
    with torch.no_grad():
        pieces = avatar(scene(capture, view))
    torch.testing.assert_close(pieces.over(0), whole.over(0).detach(), atol=3e-3, rtol=0)
    torch.testing.assert_close(pieces.mask, whole.mask.detach(), atol=3e-3, rtol=0)


def test_what_is_empty_is_not_looked_at_in_drawing(capture, views, trained, monkeypatch):
    avatar, here, real = load_avatar(trained).eval(), scene(capture, views[0]), Tracer._narrowed
    middle = here.posed.vertices[0, :, 2].median()
    avatar.hull = lambda points: (points[:, 2] > middle).to(points)
    drawn, near = [], []

    def narrowed(tracer, samples):
        found = real(tracer, samples)
        near.append(float(found.space.near(*everywhere).float().mean()))
        return found

    points = here.posed.vertices[0] + 0.02
    everywhere = torch.zeros(len(points), dtype=torch.long), points
    for samples in (10**9, 0):  # more than looking takes, and less
        monkeypatch.setattr(Tracer, "_narrowed", lambda tracer, _, samples=samples: narrowed(tracer, samples))
        with torch.no_grad():
            drawn.append(avatar(here).over(0))
    assert near[0] < 0.8 < near[1]
    torch.testing.assert_close(*drawn, atol=1e-5, rtol=0)


def test_a_batch_is_drawn_as_its_views_one_by_one(capture, views):
    avatar = build(capture, views).eval()
    pair = type(views[0]).cat(views[:2])
    with torch.no_grad():
        both = avatar(scene(capture, pair)).over(0)
        alone = torch.cat([avatar(scene(capture, view)).over(0) for view in views[:2]])
    torch.testing.assert_close(both, alone, atol=2e-3, rtol=0)


def test_layers_are_pictures_and_depth_lies_at_the_body(capture, views):
    avatar, view = build(capture, views, density="softplus").eval(), views[0]
    with torch.no_grad():
        drawn = avatar(scene(capture, view))
    assert drawn.layers["weights"].shape == (1, TINY["samples"], 48, 48)
    torch.testing.assert_close(drawn.layers["weights"].sum(1, keepdim=True), drawn.mask)
    depths = view.camera.camera_from_world(posed(capture, view).vertices)[..., 2]
    solid = drawn.depth[drawn.mask > 0.5]
    assert len(solid) and float(solid.min()) > float(depths.min()) - 3 * MARGIN
    assert float(solid.max()) < float(depths.max()) + 3 * MARGIN


def test_a_body_that_moves_as_a_whole_has_the_same_density(capture, views):
    avatar, still = build(capture, views).eval(), scene(capture, views[0])
    mesh = still.posed
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # by a right angle
    shift = torch.tensor([0.4, -3.0, 0.2])
    points = mesh.vertices[:, ::9] + 0.02 * torch.randn(mesh.vertices[:, ::9].shape)
    with torch.no_grad():
        here = avatar.tracer(still).density(points)
        moved = replace(mesh, vertices=mesh.vertices @ turn.T + shift)
        there = avatar.tracer(replace(still, posed=moved)).density(points @ turn.T + shift)
    assert float(here.max()) > 0
    # a vertex on the border of two voxels may fall to the other one
    assert float((here - there).abs().quantile(0.8)) < 0.1 * float(here.std() + here.mean())


def test_half_precision_moves_nothing(capture, views):
    avatar, here = build(capture, views, density="softplus").eval(), scene(capture, views[0])
    with torch.no_grad():
        whole = avatar(here)
        with torch.autocast("cpu", torch.bfloat16):
            half = avatar(here)
    assert half.mask.dtype == torch.float32
    torch.testing.assert_close(half.depth, whole.depth, atol=0.02, rtol=0)
    assert float((half.mask - whole.mask).abs().max()) < 0.05


def test_rays_that_meet_nobody_have_gradients_too(capture, views):
    avatar = build(capture, views)
    corners = torch.zeros(1, 1, 4, dtype=torch.long)
    away = replace(views[0], camera=replace(views[0].camera, t=views[0].camera.t + 50)).at(*[corners[0]] * 2)
    drawn = avatar(scene(capture, away))
    assert float(drawn.mask.max()) == 0
    drawn.over(0).sum().backward()
    assert all(parameter.grad is None or bool(parameter.grad.isfinite().all())
               for parameter in avatar.parameters())


@pytest.mark.parametrize("up", [(0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0),
                                (0.6, 0.0, 0.8)])
def test_a_body_is_stood_up(up):
    turn = standing(torch.tensor(up))
    torch.testing.assert_close(turn @ torch.tensor(up), torch.tensor([0.0, 0, 1]))
    torch.testing.assert_close(turn @ turn.T, torch.eye(3))
    assert float(torch.linalg.det(turn)) == pytest.approx(1)


def test_a_hull_takes_away_what_is_outside_of_it(capture, views):
    avatar = build(capture, views, density="softplus").eval()
    avatar.hull = lambda points: torch.zeros(len(points))
    with torch.no_grad():
        assert float(avatar(scene(capture, views[0])).mask.max()) == 0


# frames


def test_a_frame_that_was_not_trained_has_the_latent_of_the_nearest_and_this_is_said(capture, views, capsys):
    avatar = build(capture, views)
    mesh, frames = posed(capture, views[0]), avatar.frames.tolist()

    def chosen(frame):
        return avatar._frame(Scene(mesh, None, (8, 8), frame=frame)).tolist()

    assert [chosen(torch.tensor([frame])) for frame in frames] == [[row] for row in range(len(frames))]
    assert capsys.readouterr().err == ""
    assert chosen(torch.tensor([frames[-1] + 40])) == [len(frames) - 1]
    said = capsys.readouterr().err
    assert f"Frame {frames[-1] + 40} was not trained" in said and f"frame {frames[-1]}, the nearest" in said
    assert chosen(torch.tensor([frames[-1] + 41])) == [len(frames) - 1]
    assert capsys.readouterr().err == ""  # once is enough
    assert chosen(None) == [len(frames) - 1]
    assert "frame " + str(frames[-1]) in capsys.readouterr().err


def test_one_frames_latent_may_be_chosen_for_all(capture, views):
    avatar = build(capture, views)
    frames = avatar.frames.tolist()
    choose_latent(avatar, frames[1])
    here = scene(capture, type(views[0]).cat(views[:2]))
    assert avatar._frame(here).tolist() == [1, 1] == avatar._frame(replace(here, frame=None)).tolist()
    with pytest.raises(ValueError, match="Frame 999 was not trained"):
        choose_latent(avatar, 999)


# what it refuses


@pytest.mark.parametrize("changes, told", [
    ({"density": "exp"}, "relu, softplus"), ({"backend": "tpu"}, "torch, spconv"),
    ({"patch": 64, "rays": 4096}, "48 pixels a side"), ({"samples": 1}, "samples is 1"),
    ({"voxel": 0.0}, "voxel is 0.0"), ({"adversary": 0.1}, "Leave adversary at 0"),
    ({"perceptual": 0.1}, "set patch"),
    ({"patch": 32, "rays": 512}, "Set rays to 1024")])
def test_settings_that_make_no_sense_are_refused(capture, tmp_path, changes, told):
    with pytest.raises(ValueError, match=told):
        next(train(capture, tmp_path / "run", "neural-body", steps=2, config=TINY | changes))
    assert not (tmp_path / "run").exists()


def test_voxels_that_do_not_fit_are_refused_before_anything_is_filled(capture, views):
    with pytest.raises(ValueError, match="would fit"):
        build(capture, views, voxel=1e-4, memory=0.1)(scene(capture, views[0]))


def test_a_body_of_nan_is_refused(capture, views):
    avatar, mesh = build(capture, views), posed(capture, views[0])
    broken = replace(mesh, vertices=mesh.vertices * torch.nan)
    with pytest.raises(ValueError, match="not finite"):
        avatar(replace(scene(capture, views[0]), posed=broken))


# rays


def test_half_of_the_rays_are_on_the_person_and_the_others_in_the_box(capture, views):
    config = configure(system="neural-body", **TINY)
    batch = Rays([capture.views(crop="body", size=48)], config, range(3))[1]
    assert batch.image.shape == (2, 3, 1, 64) and batch.pixels.shape == (2, 64, 2)
    assert (batch.mask[..., :32] > 0.5).all() and bool(batch.certain.all())
    assert 0 < float(batch.mask[..., 32:].mean()) < 1
    again = Rays([capture.views(crop="body", size=48)], config, range(1, 2))[0]
    assert torch.equal(batch.pixels, again.pixels)  # by seed and step's number alone


def test_no_ray_is_drawn_from_the_band_around_the_outline(capture, views):
    view = views[0]
    on, around = pools(view, posed(capture, view).vertices)
    mask = view.mask[0, 0] > 0.5
    blurred = torch.nn.functional.avg_pool2d(mask[None].float(), 5, 1, 2)[0]
    both = (blurred > 0.001) & (blurred < 0.999)
    inner = both.clone()
    inner[:2] = inner[-2:] = False
    inner[:, :2] = inner[:, -2:] = False
    assert not set(around.tolist()) & set(inner.flatten().nonzero()[:, 0].tolist())
    assert mask.flatten()[on].all()


def test_patches_lie_in_the_picture_around_chosen_pixels():
    import numpy as np

    on = np.array([0, 47, 20 * 48 + 30])
    rows, columns = patches(on, (48, 48), 6, 8, np.random.default_rng(0))
    assert rows.shape == columns.shape == (48, 8)
    assert 0 <= int(rows.min()) and int(rows.max()) <= 47 and int(columns.max()) <= 47
    first = rows[:8], columns[:8]
    assert (first[0].diff(dim=0) == 1).all() and (first[1].diff(dim=1) == 1).all()


def test_patches_are_what_lpips_is_given(capture, views, monkeypatch):
    given = []
    monkeypatch.setattr("anr_core.losses.perceptual", lambda *pictures: given.append(pictures) or None)
    avatar = build(capture, views, perceptual=0.1, patch=8, rays=128)
    batch = Rays([capture.views(crop="body", size=48)], avatar.config, range(1))[0]
    assert batch.image.shape == (2, 3, 16, 8)
    scenery = scene(capture, batch)
    terms = avatar.losses(scenery, avatar(scenery), batch, "volume")
    assert set(terms) == {"mse", "mask"}  # it could not be had
    taken = given[0][1]
    assert taken.shape == (4, 3, 8, 8)
    torch.testing.assert_close(taken[1], (batch.image * batch.mask)[0, :, 8:])


# training


def test_it_learns(trained, capture):
    metrics = (trained / "metrics.jsonl").read_text().splitlines()
    assert metrics and (trained / "previews").is_dir()
    avatar = load_avatar(trained)
    assert bool(avatar.rest.any()) and float(avatar.rigid.max()) < 1
    view = next(iter(capture.views(crop="body", size=48)))
    drawn = avatar.draw(scene(capture, view)).over(0)
    fresh = build(capture, [view]).draw(scene(capture, view)).over(0)
    truth = view.image * view.mask
    assert float((drawn - truth).square().mean()) < 0.5 * float((fresh - truth).square().mean())


def test_a_killed_run_goes_on_to_the_same_bytes(capture, tmp_path):
    def run(folder, *stops):
        for steps in stops:
            for progress in train(capture, tmp_path / folder, "neural-body", steps=6, config=TINY):
                if progress.step == steps:
                    break
        return (tmp_path / folder / "checkpoint.safetensors").read_bytes()

    assert run("once", 7) == run("often", 2, 4, 7)


def test_gradients_are_clipped_by_value(capture, tmp_path, monkeypatch):
    bounds = []
    real = torch.nn.utils.clip_grad_value_
    monkeypatch.setattr(torch.nn.utils, "clip_grad_value_",
                        lambda parameters, bound: bounds.append(bound) or real(parameters, bound))
    list(train(capture, tmp_path / "run", "neural-body", steps=1, config=TINY))
    assert bounds == [40.0]


def test_it_is_judged_by_another_camera_and_by_other_frames(capture, tmp_path):
    run = tmp_path / "run"
    list(train(capture, run, "neural-body", steps=4, config=TINY, cameras=["front"], frames=[4, 6]))
    figures = evaluate(run, protocol="neuralbody")
    assert list(figures) == ["novel_view", "novel_pose", "novel_both"]
    for split in figures.values():
        assert split["neuralbody"]["neural-body"]["psnr"] > 3
