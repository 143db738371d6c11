"""A run as a page: what is in the file, what is refused at once, and what the viewer was packed of."""

import base64
import gzip
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from anr_core.avatars.config import configure
from anr_core.avatars.run import Run
from anr_core.export import html
from anr_core.export.handing import CONSENT, Wishes, hand_on
from anr_core.export.page.networks import AnrPicture, DeferredPicture, model_of, stride_of
from anr_core.export.page.packing import FOLDER, packed, segment
from anr_core.export.page.person import _shortest
from anr_core.export.page.playing import recorded, thinned
from anr_core.training import train
from page.pack import BUILT, digest
from tests.motion.made_up import bvh_text, walk
from tests.posed_capture import make_posed_capture

SEVERAL = ("anr", "deferred", "static")
TINY = {"size": 48, "window": 32, "batch": 1, "texture_size": 32, "width": 4}


@pytest.fixture(scope="module")
def runs(small_capture, tmp_path_factory):
    """Runs by system: of a body with joints, or of meshes."""
    folder, made = tmp_path_factory.mktemp("page"), {}
    posed = make_posed_capture(folder / "capture", masked=True)

    def of(system, meshes=False):
        if (system, meshes) not in made:
            path = folder / f"{system}{meshes}"
            list(train(small_capture if meshes else posed, path, system, steps=1, config=TINY))
            made[system, meshes] = Run.open(path)
        return made[system, meshes]

    return of


def unpacked(page: str, name: str) -> bytes:
    return gzip.decompress(base64.b64decode(re.search(f'id="{name}">([^<]*)<', page)[1]))


def read(page: str, name: str):
    content = unpacked(page, name)
    length = int.from_bytes(content[:4], "little")
    header = json.loads(content[4:4 + length])
    arrays = {key: np.frombuffer(content, place["kind"], np.prod(place["shape"], dtype=int),
                                 4 + length + place["start"]).reshape(place["shape"])
              for key, place in header["arrays"].items()}
    return header["told"], arrays


@pytest.mark.parametrize("system", SEVERAL)
def test_a_page_holds_what_its_system_draws_with(system, runs, tmp_path):
    notes = hand_on(runs(system), tmp_path / "me.html")
    page = (tmp_path / "me.html").read_text()
    assert "plays the film's own poses" in notes[0]
    found = set(re.findall(r'text/plain" id="(\w+)"', page))
    learned = {"looks", "model", "worker", "runtime"} if system != "static" else set()
    assert found == {"person", "still"} | learned
    told, arrays = read(page, "person")
    assert arrays["vertices"].shape == (13718, 3) and arrays["rotations"].shape[1:] == (103, 3)
    assert told["system"] == system and len(told["parents"]) == 104
    assert len(page) < 30e6


def test_meshes_of_frames_are_kept_to_the_thousandth_of_a_millimetre(runs, tmp_path):
    run = runs("anr", meshes=True)
    notes = hand_on(run, tmp_path / "me.html")
    assert any("view alone" in note for note in notes)
    told, arrays = read((tmp_path / "me.html").read_text(), "person")
    low, high = np.array(told["low"]), np.array(told["high"])
    mesh = low + arrays["frames"][0] / 65535 * (high - low)
    body = run.avatar().body
    assert np.abs(mesh - body(body.rest_pose()).vertices[0].numpy()).max() < 1e-4
    assert told["controls"] == []


def test_a_motion_is_played_in_place_of_the_film(runs, tmp_path):
    (tmp_path / "walk.bvh").write_text(bvh_text(walk()))
    hand_on(runs("static"), tmp_path / "me.html", Wishes(motion=tmp_path / "walk.bvh"))
    told, arrays = read((tmp_path / "me.html").read_text(), "person")
    assert told["motion"] == "walk.bvh" and not told["there_and_back"] and len(arrays["times"]) > 3


def test_of_many_meshes_some_are_kept_evenly(runs):
    run = runs("anr", meshes=True)
    played = recorded(run, run.avatar())
    kept = thinned(played, 2)
    assert kept.times.tolist() == [played.times[0], played.times[-1]] and len(kept.poses) == 2
    assert thinned(played, 100).times.tolist() == played.times.tolist()


def test_rotations_beyond_half_a_turn_are_the_same_ones_the_other_way():
    turn = torch.tensor([[0.0, 0.0, 4.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 7.0, 0.0]])
    expected = torch.tensor([[0.0, 0.0, 4.0 - 2 * torch.pi], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0],
                             [0.0, 7.0 - 2 * torch.pi, 0.0]])
    assert torch.allclose(_shortest(turn), expected, atol=1e-6)


def test_licence_and_consent_are_read_in_it_and_nothing_is_run_of_what_a_capture_says(runs, tmp_path):
    run = replace(runs("static"), licence="<script>alert(1)</script> {{segments}}", person="</title>me")
    html.write(run, tmp_path / "me.html", Wishes())
    page = (tmp_path / "me.html").read_text()
    assert "Licence of the capture: &lt;script&gt;alert(1)&lt;/script&gt; {{segments}}" in page
    assert CONSENT in page and "Copyright (c) Microsoft" in page
    assert "<title>&lt;/title&gt;me</title>" in page
    assert page.count("alert(1)") == 1


def test_a_page_asks_the_network_for_nothing(runs, tmp_path):
    hand_on(runs("anr"), tmp_path / "me.html")
    page = (tmp_path / "me.html").read_text()
    assert "default-src 'none'" in page
    assert not re.findall(r'(?:src|href)\s*=\s*["\']', re.sub(r"<script.*?</script>", "", page, flags=re.S))


def test_the_same_run_gives_the_same_bytes(runs, tmp_path):
    for name in ("one.html", "two.html"):
        hand_on(runs("deferred"), tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


@pytest.mark.parametrize("system", ["smplpix", "gaussian", "neural-body", "dynamic-texture"])
def test_systems_without_a_texture_on_a_mesh_are_refused_in_one_line(system, runs, tmp_path):
    run = replace(runs("static"), config=configure(system=system), path=tmp_path / "nowhere")
    with pytest.raises(ValueError, match=f"{system} run") as error:
        hand_on(run, tmp_path / "me.html")
    assert "\n" not in str(error.value) and not (tmp_path / "me.html").exists()


@pytest.mark.parametrize("wishes, said", [
    (Wishes(size=200), "--size 32 to 72"), (Wishes(shapes=True), "--shapes"),
    (Wishes(sampled=True), "--sampled")])
def test_wishes_that_no_page_fulfils_are_refused(wishes, said, runs, tmp_path):
    with pytest.raises(ValueError, match=said):
        hand_on(runs("anr"), tmp_path / "me.html", wishes)


def test_meshes_are_not_moved_by_a_motion(runs, tmp_path):
    with pytest.raises(ValueError, match="no joints"):
        hand_on(runs("anr", meshes=True), tmp_path / "me.html", Wishes(motion="walk.bvh"))


@pytest.mark.parametrize("system", ["anr", "deferred"])
def test_the_model_draws_what_the_avatar_draws_between_sampling_and_picture(system, runs):
    onnxruntime = pytest.importorskip("onnxruntime")
    avatar = runs(system).avatar()
    for name, parameter in avatar.named_parameters():  # one step has taught them nothing yet
        if name.endswith("leave.weight"):
            torch.nn.init.normal_(parameter, std=0.05, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(model_of(avatar))
    module = (AnrPicture if system == "anr" else DeferredPicture)(avatar).eval()
    stride = stride_of(avatar)
    for height, width in ((2 * stride, 5 * stride), (7 * stride, 3 * stride)):
        bands = torch.rand(session.get_inputs()[0].shape[0], height, width, 4)
        bands[4:5, ..., 1] = (bands[4:5, ..., 1] > 0.4).float()  # coverage
        (drawn,) = session.run(None, {"bands": bands.numpy()})
        assert drawn.shape == (height, width, 4)
        with torch.no_grad():
            assert np.abs(drawn - module(bands).numpy()).max() < 2e-3


def test_segments_come_back_as_they_were():
    arrays = {"one": np.arange(5, dtype=np.uint16), "two": torch.tensor([[1.5, -2.0]]),
              "three": np.array([7], np.uint8)}
    told, found = read(f'id="it">{segment({"name": "ü"}, arrays)}<', "it")
    assert told == {"name": "ü"}
    for name, array in arrays.items():
        assert np.array_equal(found[name], np.asarray(array)) and found[name].dtype == np.asarray(array).dtype


def test_what_is_packed_was_made_of_these_sources():
    assert (FOLDER / "sources.sha256").read_text().strip() == digest(), "pack the viewer anew: make page"


def test_packed_files_are_small_enough_for_a_repository_and_whole():
    for name in BUILT:
        assert (FOLDER / f"{name}.xz").stat().st_size < 5e6
        assert packed(name)
    assert packed("runtime.wasm")[:4] == b"\0asm"
