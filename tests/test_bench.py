"""The figures of `bench`: what is timed, and on what."""

import copy
import json
from dataclasses import replace
from functools import partial

import pytest
import torch

from anr_core import bench
from anr_core.avatars import SYSTEMS, configure
from anr_core.bench import clocking, gpu, growth, learning, made_up, peers, volumes
from anr_core.bench.frames import untrained
from anr_core.body import Pose
from anr_core.body.anny import AnnyBody
from anr_core.rasterizer import gbuffer
from anr_core.texture import Texture
from anr_core.training.batches import batches_of

pytestmark = pytest.mark.slow  # whole trainings, fits, films or timings

TINY = {"size": 64, "window": 32, "texture_size": 32, "width": 4}
STEPS = {"step": ["32"], "step deferred": ["32"], "step dynamic-texture": ["32"], "step gaussian": ["32"],
         "step neural-body": ["64"], "step smplpix": ["32"]}


@pytest.fixture(scope="module")
def posed():
    return made_up.person()(Pose.of_frame(torch.tensor([0.5])))


@pytest.fixture
def small_pictures(monkeypatch):
    monkeypatch.setattr(bench, "SIZES", (8, 16))
    monkeypatch.setattr(bench, "FRAME_SIZES", (16,))
    monkeypatch.setattr(peers, "BACKENDS", {"reference": 2})
    monkeypatch.setattr(learning, "SIDE", 64)
    monkeypatch.setattr(learning, "CHANGES", TINY)
    monkeypatch.setattr(learning, "FRAMES", 2)
    monkeypatch.setattr(growth, "CHANGES", {"texture_size": 32, "width": 4})
    monkeypatch.setattr(growth, "VARIED", {"resolution": (16, 32), "people": (1, 2)})
    monkeypatch.setattr(growth, "UNVARIED", growth.Setting(16, 0.01))
    monkeypatch.setattr(volumes, "FRAME", 16)
    quick = replace(volumes.PRESETS["quick"], size=16, samples=8)
    monkeypatch.setitem(volumes.PRESETS, "quick", quick)
    monkeypatch.setattr(volumes, "SIDES", (0.05, 0.02))
    monkeypatch.setattr(volumes, "occupied", lambda anny, real=volumes.occupied: real(anny)[1:2])
    monkeypatch.setattr(bench, "cores", lambda: 1)  # two threads wait for each other where others work, too


def test_the_promised_sizes_are_timed():
    assert {256, 512} <= set(bench.SIZES) and {256, 512} <= set(bench.FRAME_SIZES)


def test_figures_have_the_promised_stages(small_pictures, tmp_path, capsys):
    figures = bench.bench(tmp_path / "bench.json", repeats=2)
    assert json.loads((tmp_path / "bench.json").read_text()) == figures
    assert {stage: list(sizes) for stage, sizes in figures.items()} == {
        "body": ["13718", "13700"], "rasterizer": ["8", "16"], "rasterizer_backward": ["8", "16"],
        "frame": ["16"], "gbuffer": ["16"], "texture": ["16"], "networks": ["16"],
        "smplpix": ["16"], "gaussian": ["16"], "deferred": ["16"], "static": ["16"],
        "dynamic-texture": ["16"], "gaussians": ["16"], "gaussians_backward": ["16"],
        "diffusion": ["783"], "diffusion_backward": ["783"], "neural-body": ["16"],
        "reading": ["32"], "reading again": ["32"], **STEPS}
    assert {"frame" if system == "anr" else system for system in SYSTEMS} <= set(figures)
    assert {learning.step_name(system) for system in SYSTEMS} - {"step static"} == set(STEPS)
    for sizes in figures.values():
        for figure in sizes.values():
            assert 0 < figure["median_ms"] <= figure["p95_ms"]
            assert figure["peak_mib"] is None or 50 < figure["peak_mib"] < 50_000
    told = capsys.readouterr().out
    assert "cores" in told and f"torch {torch.__version__}" in told and "1 thread" in told
    assert "memory at the most: " in told and "MiB resident" in told


def test_as_many_voxels_are_timed_as_smpl_has_and_anny():
    assert [len(voxels) for voxels in volumes.occupied(AnnyBody())] == [4842, 6360, 9412]


def test_slow_peers_come_when_asked_for(small_pictures, monkeypatch):
    for room in (volumes, learning):
        monkeypatch.setattr(room, "timings", lambda *given: [])
    monkeypatch.setattr(bench, "person", partial(made_up.person, 2, 3))
    figures = bench.bench(all=True, repeats=1)
    assert list(figures["rasterizer reference"]) == ["2"] and "2" in figures["rasterizer"]
    assert list(figures["texture plain"]) == ["16"] and list(figures["body plain"]) == ["13718"]


def test_plain_skinning_gives_our_vertices():
    anny = AnnyBody()
    pose = replace(anny.rest_pose(), rotations=0.3 * torch.randn(1, 103, 3, generator=seeded()))
    plain = peers.plain_vertices(anny, peers.dense_weights(anny), pose)
    torch.testing.assert_close(plain, anny(pose).vertices, atol=1e-5, rtol=0)


def test_plain_sampling_gives_our_samples(posed):
    texture = Texture(5, 32, 3)
    for level in texture.levels:
        torch.nn.init.normal_(level, generator=seeded())
    buffer = gbuffer(posed, made_up.view(64), (64, 64))
    plain = peers.plain_samples(peers.pictures_of(texture), buffer.image(buffer.uv), buffer.coverage())
    torch.testing.assert_close(plain, buffer.image(texture(buffer.part, buffer.uv)), atol=1e-5, rtol=0)


def seeded():
    return torch.Generator().manual_seed(0)


def test_growth_is_told_by_what_is_varied(small_pictures, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "timings", lambda all, repeats, growth: (
        (1, *timed) for timed in bench.grown("cpu", repeats)))
    figures = bench.bench(tmp_path / "bench.json", repeats=1, growth=True)
    assert json.loads((tmp_path / "bench.json").read_text()) == figures
    parts = ("body", "rasterizer", "frame", "texture", "networks", "step")
    sizes = {"resolution": ["16", "32"], "people": ["1", "2"]}
    assert {stage: list(found) for stage, found in figures.items()} == {
        f"{part} by {varied}": sizes[varied] for varied in sizes for part in parts}
    assert "frame                    grows as people^" in capsys.readouterr().out


def test_growth_is_promised_for_resolution_faces_batch_and_people():
    assert growth.VARIED["resolution"] == (256, 512, 1024)
    assert growth.VARIED["batch"] == growth.VARIED["people"] == (1, 2, 4, 8)
    assert [len(growth.Setting(faces=share).body().surface.faces) for share in growth.VARIED["faces"]] == \
        [6840, 27360, 109440]


def test_people_of_a_growing_crowd_share_networks_and_learn_each_a_texture_of_their_own(monkeypatch):
    made = []
    monkeypatch.setattr(growth, "training_step", lambda avatars, *rest: made.extend(avatars))
    config = configure("quick", window=32, size=32, texture_size=32, width=4, batch=1, levels=1)
    growth.round_of(config, made_up.person(2, 3), 3, "cpu")
    assert len({id(avatar.r1) for avatar in made}) == len({id(avatar.r2) for avatar in made}) == 1
    assert len({id(avatar.texture.levels[0]) for avatar in made}) == 3


def test_exponents_are_those_of_powers():
    def timed(power):
        return {str(n): {"median_ms": 3 * n**power} for n in (1, 2, 8)}

    figures = {"body by faces": timed(0.5), "frame by people": timed(1.0), "frame": timed(2.0),
               "step by batch cuda": timed(0.8)}
    powers = {("body", "faces"): 0.5, ("frame", "people"): 1.0, ("step cuda", "batch"): 0.8}
    assert growth.exponents(figures) == pytest.approx(powers)


def test_a_step_learns_of_what_was_read(small_pictures):
    anny = AnnyBody()
    with learning.film(anny) as capture:
        assert capture.path.is_dir() and len(capture.shots) == 4
        config = learning.settings("deferred", capture)
        views = partial(learning.shown, capture)
        avatar, stage = learning.begun(config, anny, learning.names(config, capture), views)
        before = copy.deepcopy(avatar.state_dict())
        batch = batches_of([avatar], [capture], stage, config, range(1))[0]
        assert batch.size == (32, 32) and len(batch) == config.batch and 0 < batch.mask.mean() < 1
        learning.training_step([avatar], [stage], anny, [batch])()
    assert not capture.path.exists()
    moved = {name for name, value in avatar.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in moved} == {"texture", "network"}


def test_an_untrained_dynamic_texture_draws_with_its_network():
    assert bool(untrained("dynamic-texture", AnnyBody()).alive)


def test_the_peak_of_memory_counts_from_where_it_was_forgotten():
    clocking.forget_peak()
    before = clocking.peak()
    there = torch.ones(64 * 2**20 // 4)  # 64 MiB
    most = clocking.peak()
    del there
    if clocking.STATUS.is_file():
        assert 60 <= most - before < 100


def test_the_person_has_annys_size_and_covers_eight_hundredths(posed):
    assert posed.vertices.shape[1] == pytest.approx(13_718, rel=0.01)
    assert len(posed.surface.faces) == pytest.approx(27_420, rel=0.01)
    coverage = gbuffer(posed, made_up.view(256), (256, 256)).coverage().mean()
    assert float(coverage) == pytest.approx(0.08, abs=0.005)


def test_the_persons_limbs_are_closed_and_look_outwards(posed):
    faces = posed.surface.faces
    edges = {(int(a), int(b)) for face in faces for a, b in zip(face, face.roll(-1), strict=True)}
    assert len(edges) == 3 * len(faces)  # no edge twice in one direction
    assert all((b, a) in edges for a, b in edges)
    assert float(torch.linalg.det(posed.vertices[0][faces]).sum()) > 0


def test_time_inside_modules_is_part_of_the_whole():
    module = torch.nn.Linear(4, 4)

    def work():
        module(module(torch.zeros(1, 4)))
        torch.randn(200, 200) @ torch.randn(200, 200)

    inside = clocking.clock_inside(work, [module], 5)
    assert len(inside) == 5 and all(milliseconds > 0 for milliseconds in inside)
    assert not module._forward_hooks and not module._forward_pre_hooks


def test_stages_of_a_gpu_run_where_there_is_none_too(monkeypatch):
    monkeypatch.setattr(gpu, "SIZES", (64,))
    monkeypatch.setattr(gpu, "STEP_SIZES", (64,))
    monkeypatch.setattr(gpu, "VOLUME_SIZE", 64)
    timed = [(stage, size, len(milliseconds)) for stage, size, milliseconds in gpu.timings("cpu", 1, "quick")]
    assert timed == [("body", 13718, 1), ("rasterizer", 64, 1), ("rasterizer_backward", 64, 1),
                     ("frame quick", 64, 1), ("smplpix quick", 64, 1), ("gaussian quick", 64, 1),
                     ("step quick", 64, 1), ("step neural-body quick", 64, 1), ("neural-body quick", 64, 1)]


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="There is no device 'cuda' to time, and no GPU; use cpu"):
        bench.bench(device="cuda")
