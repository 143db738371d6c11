"""A run as .onnx: what ONNX Runtime draws of it, what the file says of itself, what is refused."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from anr_core.avatars import Scene, configure, gaussian, make_avatar, smplpix
from anr_core.avatars.run import Run, write_tensors
from anr_core.capture import View
from anr_core.export.graph import PRECISIONS, network_bytes
from anr_core.export.handing import CONSENT, Wishes, hand_on
from anr_core.export.onnx import given
from anr_core.renderer import UNet
from tests.posed_capture import make_posed_capture

pytestmark = pytest.mark.slow  # whole trainings, fits, films or timings

TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 32, "width": 4}
OWN = {"gaussian": {"features": 4, "encoder_width": 4, "encoder_depth": 14, "source_size": 64, "levels": 2,
                    "lifter_width": 64, "refine_from": 0, "skeleton": "coco23"},
       "dynamic-texture": {"features": 4, "generator_width": 4, "generator_depth": 1, "chart_size": 16,
                           "skeleton": "coco23"}}
DEEP = {"fold": 1, "norm": "batch", "residual": False, "input_channels": 5, "levels": 3}
SIZES = (64, 64), (61, 45), (50, 93)  # between which `draw` resizes nothing

KINDS = [("anr", {}), ("anr", {"charts_by_part": True, "fold": 1, "levels": 2}), ("deferred", {"levels": 3}),
         ("smplpix", {}), ("smplpix", DEEP), ("smplpix", {"drawn": "shading", "masked": False}),
         ("gaussian", {"outer": 1}), ("dynamic-texture", {})]
SAMPLED = [(system, changes) for system, changes in KINDS
           if system not in ("gaussian", "dynamic-texture") and "drawn" not in changes]


@pytest.fixture(scope="module")
def posed_capture(tmp_path_factory):
    return make_posed_capture(tmp_path_factory.mktemp("posed") / "capture", masked=True)


@pytest.fixture
def capture(system, changes, small_capture, posed_capture):
    """Of Anny where joints or parts are needed: the small one has a single part."""
    return posed_capture if system in OWN or "charts_by_part" in changes else small_capture


@pytest.fixture(autouse=True)
def all_digits(monkeypatch):
    """Some CPUs draw SMPLpix with bfloat16; a graph doesn't."""
    monkeypatch.setattr(smplpix, "BFLOAT16", False)


def shaken(folder, capture, system, paired=False, **changes):
    """A run whose every number differs from where training begins, as if it had learned much."""
    random = torch.Generator().manual_seed(0)
    config = configure(system=system, **TINY | OWN.get(system, {}) | changes)
    pictures = [(shot.camera, shot.frame) for shot in capture.shots]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        avatar = make_avatar(config, None if paired else capture.body.surface, pictures)
    if system == "gaussian":
        avatar.find_joints()
    for name, tensor in avatar.state_dict().items():
        place = name.split(".")[-1]
        if place in ("seen", "texels", "source"):
            tensor.copy_(torch.rand(tensor.shape, generator=random))
        elif place == "alive":
            tensor.fill_(True)
        elif ".moment." in name:
            tensor.fill_(0.5)  # small features are made large, as training would find
        elif place == "displacement":
            tensor.add_(torch.rand(tensor.shape, generator=random), alpha=0.01)
        elif name in dict(avatar.named_parameters()) or place == "running_mean":
            begins = tensor.ndim > 1 and not tensor.any()  # as nothing, which would be easy to draw
            tensor.add_(torch.rand(tensor.shape, generator=random) - 0.5, alpha=1.0 if begins else 0.3)
    run = Run(folder, config, pictures, (str(capture.path), "../capture"), "CC0: a person nobody filmed",
              person="somebody", paired=paired)
    run.save()
    write_tensors(folder / "checkpoint.safetensors", avatar.state_dict())
    return Run.open(folder)


def scenes(capture, avatar):
    """One of each size, of a camera that was trained on, and the first a batch of two."""
    for size in SIZES:
        views = list(capture.views(crop="body", size=64))
        view = View.cat([views[0], views[-1]]) if size == SIZES[0] else views[1]
        posed = avatar.body(view.pose).on(avatar.surface)
        yield Scene(posed, view.camera.resize(size), size, None, view.frame, view.camera_name)


def differences(file, avatar, scene, sampled=False):
    """How far at most colour and mask are from what the avatar draws."""
    drawn = avatar.draw(scene)
    feeds = given(avatar, scene, sampled)
    found = onnxruntime.InferenceSession(file).run(["rgb", "mask"], feeds)
    assert min(drawn.rgb.std(), drawn.mask.std()) > 0.01  # there is something to see
    height, width = scene.size  # a gaussian's comes in whole latent pixels
    found = [picture[..., :height, :width] for picture in found]
    assert [picture.shape for picture in found] == [drawn.rgb.shape, drawn.mask.shape]
    rgb, mask = (np.abs(picture - wanted.numpy())
                 for picture, wanted in zip(found, (drawn.rgb, drawn.mask), strict=True))
    # a mask below that is none: at the very step either is right
    step = np.isclose(mask, smplpix.LEAST, atol=1e-4) | np.isclose(mask, gaussian.LEAST, atol=1e-4)
    return float(rgb.max()), float(mask[~step].max())


@pytest.mark.parametrize("system, changes", KINDS, ids=str)
def test_onnx_runtime_draws_what_the_avatar_draws_at_three_sizes(system, changes, capture, tmp_path):
    run = shaken(tmp_path / "run", capture, system, **changes)
    hand_on(run, tmp_path / "me.onnx")
    avatar = run.avatar()
    for scene in scenes(capture, avatar):
        assert max(differences(tmp_path / "me.onnx", avatar, scene)) < 1e-4


@pytest.mark.parametrize("system, changes", SAMPLED, ids=str)
def test_a_graph_samples_the_texture_as_the_avatar_does(system, changes, capture, tmp_path):
    run = shaken(tmp_path / "run", capture, system, **changes)
    hand_on(run, tmp_path / "me.onnx", Wishes(sampled=True))
    avatar = run.avatar()
    for scene in scenes(capture, avatar):
        assert max(differences(tmp_path / "me.onnx", avatar, scene, sampled=True)) < 1e-4


def test_looks_that_a_graph_does_not_have_are_refused(posed_capture, tmp_path):
    avatar = shaken(tmp_path / "run", posed_capture, "gaussian").avatar()
    view = posed_capture.views(crop="body", size=64)[0]
    scene = Scene(avatar.body(view.pose), view.camera, (64, 64), source=view)
    with pytest.raises(ValueError, match="in its own looks, but this scene has a source"):
        given(avatar, scene)


def test_a_network_of_pairs_takes_a_picture_alone(small_capture, tmp_path):
    run = shaken(tmp_path / "run", small_capture, "smplpix", paired=True, input_channels=4)
    hand_on(run, tmp_path / "me.onnx")
    avatar = run.avatar()
    for size in SIZES:
        scene = Scene(None, None, size, image=torch.rand(2, 4, *size))
        assert max(differences(tmp_path / "me.onnx", avatar, scene)) < 1e-4
    with pytest.raises(ValueError, match="pairs of pictures, so there is no texture to sample"):
        hand_on(run, tmp_path / "me.onnx", Wishes(sampled=True))


def test_a_file_says_what_goes_in_and_out_and_whose_likeness_it_is(small_capture, tmp_path):
    run = shaken(tmp_path / "run", small_capture, "anr")
    notes = hand_on(run, tmp_path / "me.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "me.onnx")
    told = session.get_modelmeta().custom_metadata_map
    assert (told["system"], told["person"], told["trained_size"]) == ("anr", "somebody", "64")
    assert "CC0: a person nobody filmed" in told["licence"] and CONSENT in told["licence"]
    for slots, there in ((told["inputs"], session.get_inputs()), (told["outputs"], session.get_outputs())):
        slots = json.loads(slots)
        assert {value.name: value.shape for value in there} == {name: slot["shape"]
                                                                for name, slot in slots.items()}
        for slot in slots.values():
            assert slot["told"] and len(slot["channels"]) in (slot["shape"][1], 0)
    assert session.get_inputs()[0].shape == ["batch", 18, "height", "width"]
    assert "features (batch, 18, height, width)" in notes[0]
    graph_inputs = onnx.load(tmp_path / "me.onnx").graph.input
    assert "world coordinates" in {value.name: value.doc_string for value in graph_inputs}["normals"]


@pytest.mark.parametrize("system, wishes, told", [
    ("static", Wishes(), "has no network"), ("neural-body", Wishes(), "rays through a volume"),
    ("gaussian", Wishes(sampled=True), "no texture"), ("dynamic-texture", Wishes(sampled=True), "generator"),
    ("anr", Wishes(motion="walk.bvh"), "--motion says nothing"), ("anr", Wishes(size=512), "--size"),
    ("anr", Wishes(shapes=True), "--shapes"), ("anr", Wishes(up="z"), "--up")], ids=str)
def test_what_cannot_be_exported_is_told_in_one_line_before_any_work(system, wishes, told, tmp_path):
    run = Run(tmp_path, configure(system=system), [("front", 0)], ("a", "b"), "")  # there is nothing to read
    with pytest.raises(ValueError, match=rf"\A[^\n]*{told}[^\n]*\Z"):
        hand_on(run, tmp_path / "me.onnx", wishes)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("drawn", ["shading", "vertices", "points"])
def test_smplpix_samples_only_where_it_draws_its_texture(drawn, tmp_path):
    run = Run(tmp_path, configure(system="smplpix", drawn=drawn), [("front", 0)], ("a", "b"), "")
    with pytest.raises(ValueError, match=f"by '{drawn}', not by its texture"):
        hand_on(run, tmp_path / "me.onnx", Wishes(sampled=True))


def test_without_the_package_onnx_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    run = Run(tmp_path, configure(), [("front", 0)], ("a", "b"), "")
    with pytest.raises(ImportError, match="pip install onnx"):
        hand_on(run, tmp_path / "me.onnx")


# single networks

@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = UNet(5, 3, 16, 3).train()
    torch.nn.init.normal_(network.leave.weight, std=0.1)
    return network


@pytest.mark.parametrize("precision", PRECISIONS)
def test_half_precision_is_half_as_large_and_all_but_the_same(precision, network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    full, made = (network_bytes(network, [torch.rand(1, 5, 53, 71)], ["seen"], ["drawn"], precision=which)
                  for which in ("float32", precision))
    assert network.training and all(torch.equal(value, before[name])
                                    for name, value in network.state_dict().items())
    assert precision == "float32" or len(made) < 0.6 * len(full)
    seen = torch.rand(2, 5, 30, 47)
    kind = np.float16 if precision == "float16" else np.float32
    drawn, = onnxruntime.InferenceSession(made).run(None, {"seen": seen.numpy().astype(kind)})
    assert drawn.dtype == kind
    with torch.no_grad():
        assert np.abs(drawn - network(seen).numpy()).max() < (1e-5 if precision == "float32" else 5e-3)


def test_a_graph_of_one_size_computes_no_sizes(network):
    made = onnx.load_from_string(network_bytes(network, [torch.rand(1, 5, 64, 64)], ["seen"], ["drawn"], {}))
    assert not {"Shape", "Pad", "Mod"} & {node.op_type for node in made.graph.node}
    assert [size.dim_value for size in made.graph.input[0].type.tensor_type.shape.dim] == [1, 5, 64, 64]


def test_a_precision_that_there_is_not_is_refused(network):
    with pytest.raises(ValueError, match="precision 'int4' is unknown; use one of float32, float16 weights"):
        network_bytes(network, [torch.rand(1, 5, 8, 8)], ["seen"], ["drawn"], precision="int4")


# what the page shows

def test_the_examples_of_the_page_run_and_agree(small_capture, tmp_path, monkeypatch):
    run = shaken(tmp_path / "runs/mine", small_capture, "anr", size=256)
    hand_on(run, tmp_path / "me.onnx")
    hand_on(run, tmp_path / "sampled.onnx", Wishes(sampled=True))
    (tmp_path / "captures").mkdir()
    (tmp_path / "captures/mine").symlink_to(small_capture.path)
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).resolve().parents[2] / "docs/export.md"
    metadata, ours, by_hand = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"),
                                         re.MULTILINE | re.DOTALL)[:3]
    names = {}
    exec(metadata, names)
    exec(ours, names)
    picture, (rgb, mask) = names["picture"], (names["rgb"], names["mask"])
    drawn = run.avatar().draw(names["scene"])
    np.testing.assert_allclose(picture, drawn.over(1.0).numpy(), atol=1e-4)
    exec(by_hand, names)
    np.testing.assert_allclose(names["rgb"], rgb, atol=1e-4)
    np.testing.assert_allclose(names["mask"], mask, atol=1e-4)
