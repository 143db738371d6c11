"""The studio: what its captures hold, that they agree with themselves, and what is refused."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial import cKDTree

import anr_core
from anr_core.cli import main
from anr_core.prepare import studio
from anr_core.prepare.studio import held_out_cameras, light, stage, studio_capture
from anr_core.prepare.studio.painting import encoded, linear, noise, spots, step
from anr_core.prepare.studio.registration import Jitter

pytestmark = pytest.mark.slow  # whole trainings, fits, films or timings

CALL = {"cameras": 4, "frames": 3, "size": 64, "fps": 2}


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Read only: subject 0, cameras 2 and 4 held out, frame 2 another motion."""
    return anr_core.studio_capture(tmp_path_factory.mktemp("studio") / "zero", **CALL)


@pytest.fixture(scope="module")
def truths(film):
    """(shot, arrays) of every picture."""
    return [(shot, dict(np.load(film.path / shot.truth))) for shot in film.shots]


def digests(folder):
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def surface_of(film, frame):
    """(1, V, 3) the dressed surface of a frame, layer after layer."""
    with np.load(film.path / "surface" / f"{frame:04d}.npz") as layers:
        vertices = [layers[f"vertices_{n + 1}"] for n in range(len(layers))]
        return torch.from_numpy(np.concatenate(vertices))[None]


def mask_of(film, shot):
    return np.array(Image.open(film.path / shot.mask)) / 255


# what a capture holds


def test_the_same_call_gives_the_same_bytes(film, tmp_path):
    again = studio_capture(tmp_path / "again", **CALL)
    assert digests(again.path) == digests(film.path) and len(digests(film.path)) > 40


def test_another_number_is_another_person(film, tmp_path):
    other = studio_capture(tmp_path / "other", 1, cameras=1, frames=1, size=48)
    assert other.body.shape != film.body.shape and other.person == "subject 1" and other.splits == ["train"]


def test_it_is_a_capture_like_any_other(film):
    view = film.views(crop="body", size=32)[0]
    assert view.image.shape == (1, 3, 32, 32) and 0.1 < float(view.mask.mean()) < 0.9
    assert view.keypoints.shape == (1, 23, 3)
    assert film.background("cam01").shape == (1, 3, 64, 64)
    assert len(film.shots) == 12 and film.format == "studio" and film.licence == "CC0"


def test_two_cameras_and_the_punches_are_held_out(film):
    splits = {(shot.camera, shot.frame): shot.split for shot in film.shots}
    assert splits["cam01", 0] == "train" and splits["cam02", 0] == "novel_view"
    assert splits["cam01", 2] == "novel_pose" and splits["cam02", 2] == "novel_both"
    assert [len(held_out_cameras([f"cam{n}" for n in range(count)])) for count in (1, 2, 3, 4, 6, 9)] == \
        [0, 0, 1, 2, 2, 2]


def test_held_out_cameras_are_one_of_each_ring():
    for count in (4, 5, 6, 7, 8):
        names = [f"cam{n}" for n in range(count)]
        assert {names.index(name) % 2 for name in held_out_cameras(names)} == {0, 1}, count


# annotations agree with the pictures, and with each other


def test_masks_are_the_share_of_each_pixel_that_the_person_covers(film, truths):
    for shot, arrays in truths:
        mask = mask_of(film, shot)
        assert (mask[arrays["layer"] > 0] > 0).all() and (mask[arrays["layer"] == 0] < 1).all()
        assert abs(mask.sum() - (arrays["layer"] > 0).sum()) < 0.05 * mask.sum()
        assert len(np.unique(mask.round(3))) > 4


def test_without_the_person_a_picture_is_the_background(film):
    shot = next(shot for shot in film.shots if shot.camera == "cam02")
    image, empty = (np.array(Image.open(film.path / name)).astype(int)
                    for name in (shot.image, film.backgrounds[shot.camera]))
    upper = mask_of(film, shot)[:16] == 0  # the floor below is in the person's shadow
    assert np.abs(image - empty)[:16][upper].mean() < 4


def test_the_surface_seen_is_the_surface_written(film, truths):
    layers = np.load(film.path / "surface" / "layers.npz")
    assert layers["names"][0] == "skin" and len(layers["names"]) > 2
    for shot, arrays in truths[:2]:
        pixels, depth = film.cameras[shot.camera].project(surface_of(film, shot.frame))
        rows, columns = np.nonzero(arrays["layer"])
        assert pixels[0, :, 0].min() < columns.min() + 1.5 and pixels[0, :, 0].max() > columns.max() - 0.5
        seen = arrays["depth"][rows, columns] / 1e4
        assert depth.min() - 0.02 < seen.min() and seen.max() < depth.max() + 0.02


def test_flow_is_how_the_nearest_vertices_move(film, truths):
    moves, errors, sizes = {"flow_forward": 1, "flow_backward": -1}, [], []
    for shot, arrays in truths:
        camera, found = film.cameras[shot.camera], arrays["layer"] > 0
        here = camera.project(surface_of(film, shot.frame))
        rows, columns = np.nonzero(found)
        seen = np.stack([columns + 0.5, rows + 0.5, arrays["depth"][found] / 1e4 * 64], 1)
        _, nearest = cKDTree(torch.cat([here[0][0], 64 * here[1].T], 1)).query(seen)
        for name, step_ in moves.items():
            flow = arrays[name].astype(np.float64)
            if not 0 <= shot.frame + step_ < CALL["frames"]:
                assert np.isnan(flow).all()
                continue
            assert np.isnan(flow[~found]).all()
            there = camera.project(surface_of(film, shot.frame + step_))
            moved = (there[0] - here[0])[0].numpy()[nearest]
            errors.append(np.abs(flow[found] - moved).mean())
            sizes.append(np.abs(moved).mean())
    assert np.mean(sizes) > 0.1 and np.mean(errors) < 0.3 * np.mean(sizes)


def test_keypoints_are_on_the_person(film):
    assert film.skeleton == "coco23"
    for shot in film.shots:
        points, mask = film.keypoints[shot.camera, shot.frame].numpy(), mask_of(film, shot)
        assert set(points[:, 2]) <= {0.0, 1.0}
        column, row = points[points[:, 2] > 0, :2].astype(int).T
        assert (mask[row, column] > 0).mean() > 0.9


def test_left_and_right_are_the_persons(film):
    """Seen from the front, the person's left eye is to the right of the right one."""
    points = film.keypoints["cam01", 0]
    assert points[1, 0] > points[2, 0] and points[0, 2] == 1  # left eye, right eye, nose


# the registration


def test_an_exact_registration_covers_what_is_known_of_the_naked_body(tmp_path):
    exact = studio_capture(tmp_path / "exact", **CALL | {"cameras": 1, "frames": 1}, registration="exact")
    from anr_core.rasterizer import rasterize

    for shot in exact.shots:
        posed = exact.body(exact.pose(torch.tensor([shot.frame])))
        camera = exact.cameras[shot.camera]
        drawn = rasterize(posed.vertices, posed.surface.faces, camera, (64, 64)).face_id[0] >= 0
        assert (drawn.numpy() == (exact.truth(shot, "part") > 0)).mean() > 0.9995


def test_a_jittered_registration_errs_by_millimetres_and_degrees_smoothly():
    from anr_core.body import Pose
    from anr_core.body.anny import AnnyBody

    body = AnnyBody()
    still = Pose(torch.zeros(1, 103, 3), torch.zeros(1, 3), torch.zeros(1, 3))
    wrong = [Jitter(3).pose(still, frame / 30) for frame in range(60)]
    roots = torch.cat([pose.root_translation for pose in wrong])
    assert 0.001 < float(roots.norm(dim=1).mean()) < 0.015
    degrees = torch.cat([pose.rotations for pose in wrong]).norm(dim=2).rad2deg()
    assert 1 < float(degrees[:, body.skeleton.names.index("left_elbow") - 1].mean()) < 5
    assert float(degrees.mean()) < 2
    meshes = torch.cat([body(pose).vertices for pose in wrong])
    true = body(still).vertices
    assert 0.003 < float((meshes - true).norm(dim=2).mean()) < 0.03
    steps = (meshes[1:] - meshes[:-1]).norm(dim=2).mean()
    assert float(steps) < 0.2 * float((meshes - true).norm(dim=2).mean())
    assert torch.equal(Jitter(3).pose(still, 1.0).rotations, wrong[30].rotations)


# what is refused


def test_the_same_call_is_found_again_and_nothing_is_written(film):
    before = {path: path.stat().st_mtime_ns for path in film.path.rglob("*")}
    again = studio_capture(film.path, np.int64(0), **CALL | {"fps": 2.0})
    assert again.shots == film.shots
    assert {path: path.stat().st_mtime_ns for path in film.path.rglob("*")} == before


@pytest.mark.parametrize("change", [{"subject": 1}, {"frames": 5}, {"size": 32}, {"registration": "exact"}])
def test_a_folder_of_another_call_is_left_alone(film, change):
    before = digests(film.path)
    with pytest.raises(ValueError, match="something else than this capture.*Name another folder"):
        studio_capture(film.path, **CALL | change)
    assert digests(film.path) == before


def test_what_is_no_capture_is_left_alone(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").write_text("dear")
    (tmp_path / "file").write_text("dear")
    for name in ("letters", "file"):
        with pytest.raises(ValueError, match="something else"):
            studio_capture(tmp_path / name)
    assert (tmp_path / "letters" / "mine.txt").read_text() == "dear" == (tmp_path / "file").read_text()


@pytest.mark.parametrize(("arguments", "complaint"), [
    ({"subject": -1}, "subject is -1"), ({"subject": 1.5}, "subject is 1.5"),
    ({"subject": "0"}, "subject is '0'"), ({"subject": True}, "subject is True"),
    ({"size": 0}, "size is"), ({"size": (64, -1)}, "size is"),
    ({"size": 64.0}, "size is"), ({"size": (64, 64, 3)}, "size is"), ({"cameras": 0}, "cameras is 0"),
    ({"frames": -4}, "frames is -4"), ({"fps": 0}, "fps is 0"), ({"fps": float("nan")}, "fps is nan"),
    ({"registration": "perfect"}, "jittered or exact"),
])
def test_bad_arguments_are_one_line(tmp_path, arguments, complaint):
    with pytest.raises(ValueError, match=complaint) as refused:
        studio_capture(tmp_path / "new", **arguments)
    assert "\n" not in str(refused.value) and not list(tmp_path.iterdir())


def test_the_command_line_is_the_same_call(film, capsys):
    command = ["studio", str(film.path), "--size", "64", "--cameras", "4", "--frames", "3", "--fps", "2"]
    assert main(command) == 0 and "subject 0, cameras 4, pictures 12" in capsys.readouterr().out
    assert main([*command, "--subject", "-3"]) == 2 and "subject is -3" in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(studio.filming, "write_annotations", full)
    command = ["studio", str(tmp_path / "new"), "--size", "32", "--cameras", "1", "--frames", "1"]
    assert main(command) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[-1] == "Error: [Errno 28] No space left on device" and not list(tmp_path.iterdir())


# the parts


def test_cameras_stand_on_two_rings_and_see_the_person_whole():
    cameras = stage.cameras(5, 6, (96, 96), 1.75)
    heights = [float(camera.center[0, 2]) for camera in cameras.values()]
    assert max(heights[::2]) < 1.2 and min(heights[1::2]) > 1.9
    person = torch.tensor([[x, y, z] for x in (-0.3, 0.3) for y in (-0.3, 0.3) for z in (0, 2.2)])[None]
    for camera in cameras.values():
        pixels, depth = camera.project(person)
        assert bool(((pixels > 0) & (pixels < 96)).all()) and bool((depth > 1).all())
    assert len({float(camera.K[0, 0, 0]) for camera in cameras.values()}) == 6


def box(low, high):
    """Vertices and faces of an axis-aligned box, counterclockwise from outside."""
    corners = torch.tensor([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]).float()
    low, high = torch.tensor(low), torch.tensor(high)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = torch.tensor([triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))])
    return low + corners * (high - low), faces


def test_a_lamp_lights_what_it_sees_and_its_shadow_has_a_soft_edge():
    lamp = light.Lamp(light.disc((0.0, 0.0, 4.0), (0.0, 0.01, 0.0), 0.5, 32), torch.ones(3))
    vertices, faces = box((-0.5, -0.5, 0.9), (0.5, 0.5, 1.0))
    shadows = light.lamp_shadows(lamp, vertices, faces)
    line = torch.linspace(-1.5, 1.5, 61)
    places = torch.stack([line, 0 * line, 0 * line], 1)
    hard, soft, seen = light.lamp_light(lamp, shadows, places, torch.tensor([[0.0, 0, 1]]).repeat(61, 1)).T
    assert float(seen[30]) == 0 and float(hard[30]) == 0
    assert float(seen[0]) == float(seen[-1]) == 1
    cosine = 4 / (4**2 + 1.5**2) ** 0.5
    assert float(hard[0]) == pytest.approx(cosine, abs=0.01) and bool((soft >= hard).all())
    edge = (seen > 0.05) & (seen < 0.95)
    # by similar triangles the penumbra of a lamp 1 m wide, 3.05 m above the edge, is 0.33 m wide
    assert 0.2 < float(line[edge & (line > 0)].max() - line[edge & (line > 0)].min()) < 0.45


def test_ambient_light_is_the_mean_over_what_is_open():
    white = light.Lights((), *(torch.ones(3) for _ in range(3)))
    directions = light.sphere(400)
    vertices, faces = box((-4.0, -4.0, -0.2), (4.0, 4.0, -0.1))  # a floor far below what is looked at
    shadows = light.ambient_shadows(directions, vertices, faces)
    up = torch.tensor([[0.0, 0.0, 1.0]])
    gathered = light.ambient_light(white, directions, shadows, torch.tensor([[0.0, 0.0, 1.0]]), up)
    assert float(light.irradiance(gathered, up)[0, 0]) == pytest.approx(1, abs=0.02)
    below = light.ambient_light(white, directions, shadows, torch.tensor([[0.0, 0.0, -1.0]]), up)
    assert float(light.irradiance(below, up)[0, 0]) == pytest.approx(light.RETURNED, abs=0.15)


def test_noise_is_smooth_repeats_nothing_near_and_is_the_same_again():
    points = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) * 3
    values = noise(points, 0.1, 7)
    assert float(values.abs().max()) <= 1 and 0.2 < float(values.std()) < 0.6
    assert torch.equal(values, noise(points, 0.1, 7)) and not torch.equal(values, noise(points, 0.1, 8))
    assert float((noise(points + 1e-4, 0.1, 7) - values).abs().max()) < 0.01


def test_steps_spots_and_colours_by_hand():
    values = torch.tensor([0.0, 0.5, 1.0])
    assert step(0, 1, values).tolist() == [0, 0.5, 1] and step(1, 0, values).tolist() == [1, 0.5, 0]
    points = torch.tensor([[0.0, 0, 0], [0.15, 0, 0], [1.0, 0, 0]])
    assert spots(points, points[:1], torch.tensor([0.1])).tolist() == pytest.approx([1, 0.5, 0])
    grey = torch.tensor([0.0, 0.2, 0.7, 1.0])
    assert torch.allclose(encoded(linear(grey)), grey, atol=1e-5)
    assert float(linear(torch.tensor([0.5]))) == pytest.approx(0.2140, abs=1e-4)
