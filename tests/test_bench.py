"""The figures of `bench`: what is timed, and on what."""

import json

import pytest
import torch

from anr_core import bench
from anr_core.bench import clocking, gpu, made_up, volumes
from anr_core.body import Pose
from anr_core.body.anny import AnnyBody
from anr_core.rasterizer import gbuffer


@pytest.fixture(scope="module")
def posed():
    return made_up.person()(Pose.of_frame(torch.tensor([0.5])))


@pytest.fixture
def small_pictures(monkeypatch):
    monkeypatch.setattr(bench, "SIZES", (8, 16))
    monkeypatch.setattr(bench, "FRAME_SIZES", (16,))
    monkeypatch.setattr(bench, "PEERS", {"reference": 2})
    monkeypatch.setattr(volumes, "FRAME", 16)
    monkeypatch.setattr(volumes, "occupied", lambda anny, real=volumes.occupied: real(anny)[1:2])


def test_the_promised_sizes_are_timed():
    assert {256, 512} <= set(bench.SIZES) and {256, 512} <= set(bench.FRAME_SIZES)


def test_figures_have_the_promised_stages(small_pictures, tmp_path, capsys):
    figures = bench.bench(tmp_path / "bench.json", repeats=2)
    assert json.loads((tmp_path / "bench.json").read_text()) == figures
    assert {stage: list(sizes) for stage, sizes in figures.items()} == {
        "body": ["13718", "13700"], "rasterizer": ["8", "16"], "rasterizer_backward": ["8", "16"],
        "frame": ["16"], "gbuffer": ["16"], "texture": ["16"], "networks": ["16"],
        "smplpix": ["16"], "gaussian": ["16"], "gaussians": ["16"], "gaussians_backward": ["16"],
        "diffusion": ["6360"], "diffusion_backward": ["6360"], "neural-body": ["16"]}
    for sizes in figures.values():
        for figure in sizes.values():
            assert 0 < figure["median_ms"] <= figure["p95_ms"]
    told = capsys.readouterr().out
    assert "cores" in told and f"torch {torch.__version__}" in told and "1 thread" in told


def test_as_many_voxels_are_timed_as_smpl_has_and_anny():
    assert [len(voxels) for voxels in volumes.occupied(AnnyBody())] == [4842, 6360, 9413]


def test_slow_peers_come_when_asked_for(small_pictures, monkeypatch):
    monkeypatch.setattr(volumes, "timings", lambda *given: [])
    monkeypatch.setattr(made_up, "RINGS", 2)
    monkeypatch.setattr(made_up, "SEGMENTS", 3)
    assert list(bench.bench(all=True, repeats=1)["rasterizer reference"]) == ["2"]


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
