"""Format `registered`: what it means, and every way in which a folder of it can be broken."""

import json
import shutil

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from PIL import Image

from anr_core.capture import load_capture
from anr_core.prepare import prepare
from anr_core.prepare.check import mask_overlaps


@pytest.fixture
def source(small_source, tmp_path):
    """A folder to damage."""
    return shutil.copytree(small_source, tmp_path / "source")


def change_cameras(source, change):
    file = source / "cameras.json"
    described = json.loads(file.read_text())
    change(described)
    file.write_text(json.dumps(described))


def change_meshes(source, **changes):
    with np.load(source / "mesh.npz") as archive:
        arrays = {**archive, **changes}
    np.savez(source / "mesh.npz", **{name: array for name, array in arrays.items() if array is not None})


def meshes(source):
    with np.load(source / "mesh.npz") as archive:
        return archive["frames"], archive["vertices"]


# what it means

def test_K_is_scaled_to_the_pictures_and_the_original_is_kept(small_source, small_capture):
    K = np.array(json.loads((small_source / "cameras.json").read_text())["cameras"]["cam02"]["K"])
    np.testing.assert_allclose(small_capture.cameras["cam02"].K[0], np.diag([0.5, 0.5, 1]) @ K, rtol=1e-6)
    original = json.loads((small_capture.path / "capture.json").read_text())["cameras"]["cam02"]["original"]
    assert original["size"] == [480, 320]
    np.testing.assert_allclose(original["K"], K)


def test_frames_between_registered_ones_are_marked_and_have_doubtful_outlines(small_capture):
    assert {shot.frame for shot in small_capture.shots if not shot.registered} == {1, 3}
    views = small_capture.views(cameras=["cam01"])
    certain = [float(view.certain.float().mean()) for view in views]
    assert [share == 1 for share in certain] == [True, False, True, False, True]
    # 2 px of 240 to either side of an outline some 600 px long
    assert 0.9 < certain[1] < 0.97


def test_masks_and_meshes_lie_on_each_other(small_capture):
    overlaps = mask_overlaps(small_capture).values()
    assert all(overlap > 0.85 for overlap in overlaps)  # clothes make up the rest


def test_up_is_what_the_cameras_hold_upwards(small_capture):
    assert small_capture.up.tolist() == [0, 0, 1]


def test_one_camera_a_frame_is_read(source, tmp_path):
    """cam01's frame 0, cam02's frame 2, cam03's frame 4 as three cameras, each with one picture."""
    described = json.loads((source / "cameras.json").read_text())["cameras"]
    names = {"0000": "cam01", "0002": "cam02", "0004": "cam03"}
    for kind, suffix in (("frames", ".jpg"), ("masks", ".png")):
        (source / kind).rename(source / f"old {kind}")
        (source / kind).mkdir()
        for name, camera in names.items():
            shutil.copy(source / f"old {kind}" / camera / f"{name}{suffix}", source / kind)
    entries = [{"name": name, **{key: described[camera][key] for key in ("K", "R", "t")}}
               for name, camera in names.items()]
    (source / "cameras.json").write_text(json.dumps({"width": 320, "height": 480, "frames": entries}))
    capture = prepare(source, tmp_path / "capture")
    assert [(shot.camera, shot.frame, shot.registered) for shot in capture.shots] == [
        ("0000", 0, True), ("0002", 2, True), ("0004", 4, True)]
    assert all(overlap > 0.85 for overlap in mask_overlaps(capture).values())


def test_projected_masks_have_doubtful_outlines(source, tmp_path):
    (source / "masks").rename(source / "masks_body")
    capture = prepare(source, tmp_path / "capture")
    assert not any(view.certain.all() for view in capture.views())


def test_without_masks_the_mesh_is_projected(source, tmp_path, capsys):
    shutil.rmtree(source / "masks")
    capture = prepare(source, tmp_path / "capture")
    assert all(overlap == 1 for overlap in mask_overlaps(capture).values())
    assert "cam02: there are no masks, so the registered mesh is projected" in capsys.readouterr().out


def test_cameras_without_pictures_and_pictures_beyond_the_meshes_are_left_out_aloud(source, tmp_path, capsys):
    shutil.rmtree(source / "frames" / "cam03")
    shutil.rmtree(source / "masks" / "cam03")
    shutil.copy(source / "frames" / "cam01" / "0004.jpg", source / "frames" / "cam01" / "0009.jpg")
    capture = prepare(source, tmp_path / "capture")
    assert list(capture.cameras) == ["cam01", "cam02"] and len(capture.shots) == 10
    said = capsys.readouterr().out
    assert "cam03 has no pictures" in said and "cam01: 1 pictures have no mesh" in said


def test_masks_before_the_first_picture_are_of_frames_that_were_left_out(source, tmp_path):
    for frame in (0, 1):
        (source / "frames" / "cam01" / f"{frame:04d}.jpg").unlink()
    capture = prepare(source, tmp_path / "capture")
    assert [shot.frame for shot in capture.shots if shot.camera == "cam01"] == [2, 3, 4]


def test_meshes_far_apart_are_not_bridged(source, tmp_path, capsys):
    change_cameras(source, lambda described: described.update(fps=5))  # now 0.4 s lie between two
    capture = prepare(source, tmp_path / "capture")
    assert {shot.frame for shot in capture.shots} == {0, 2, 4}
    assert "cam01: 2 pictures have no mesh" in capsys.readouterr().out


def test_a_licence_comes_along(source, tmp_path):
    (source / "LICENSE.txt").write_text("free")
    capture = prepare(source, tmp_path / "capture")
    assert capture.licence == "stated in LICENSE.txt"
    assert (capture.path / "LICENSE.txt").read_text() == "free"


def test_a_mesh_without_uvs_gets_an_atlas(source, tmp_path):
    change_meshes(source, uv=None, uv_faces=None)
    surface = prepare(source, tmp_path / "capture").body.surface
    assert surface.uv_faces.shape == surface.faces.shape and len(surface.uv) > 100


def test_distortion_is_taken_out_of_pictures_and_camera(source, tmp_path):
    change_cameras(source, lambda described: described["cameras"]["cam01"].update(dist=[0.05, 0, 0, 0, 0]))
    capture = prepare(source, tmp_path / "capture")
    assert capture.cameras["cam01"].distortion is None
    assert not capture.views(cameras=["cam01"], frames=[0])[0].certain.all()


# frames out of videos

def film_video(source, frames):
    """cam01's video of these pictures; only frames 0 and 4 stay as files."""
    folder, video = source / "frames" / "cam01", source / "videos" / "cam01.mp4"
    video.parent.mkdir()
    pictures = [np.array(Image.open(folder / f"{frame:04d}.jpg")) for frame in frames]
    iio.imwrite(video, np.stack(pictures), plugin="FFMPEG", fps=15, quality=9, macro_block_size=1)
    for frame in (1, 2, 3):
        (folder / f"{frame:04d}.jpg").unlink()
    (source / "masks" / "cam01" / "0002.png").unlink()


def test_fps_takes_frames_from_the_video_where_there_is_no_picture(source, small_capture, tmp_path):
    film_video(source, range(5))
    assert len(prepare(source, tmp_path / "few").views(cameras=["cam01"])) == 2
    capture = prepare(source, tmp_path / "all", fps=15)
    views, truth = (one.views(cameras=["cam01"]) for one in (capture, small_capture))
    assert [shot.frame for shot in views.shots] == [0, 1, 2, 3, 4]
    for view, true in zip(views, truth, strict=True):
        assert (view.image - true.image).abs().mean() < 0.03


def test_a_video_that_counts_otherwise_is_refused(source, tmp_path):
    film_video(source, [0, 0, 0, 1, 2, 3, 4])
    with pytest.raises(ValueError, match=r"cam01.mp4: its frame n looks like picture n-2 of the source"):
        prepare(source, tmp_path / "capture", fps=15)


def test_fps_start_and_end_choose_among_the_pictures(source, tmp_path):
    capture = prepare(source, tmp_path / "slow", fps=5)
    assert sorted({shot.frame for shot in capture.shots}) == [0, 2, 3, 4]  # every third, and the registered
    capture = prepare(source, tmp_path / "short", start=1 / 15, end=3 / 15)
    assert sorted({shot.frame for shot in capture.shots}) == [1, 2, 3]
    with pytest.raises(ValueError, match="0 to 4 in the seconds asked for"):
        prepare(source, tmp_path / "none", start=10)
    with pytest.raises(ValueError, match="--fps -1 was asked for"):
        prepare(source, tmp_path / "none", fps=-1)


# broken folders

def truncate(file):
    file.write_bytes(file.read_bytes()[:len(file.read_bytes()) // 2])


def resized(file, size):
    Image.open(file).resize(size).save(file)


def blacken(file):
    Image.new("L", (160, 240)).save(file)


def with_nan(source):
    _, vertices = meshes(source)
    vertices[1, 5:8] = np.nan
    change_meshes(source, vertices=vertices)


def turned_away(source):
    def turn(described):
        camera = described["cameras"]["cam02"]
        about = np.diag([-1.0, 1.0, -1.0])
        camera["R"] = (about @ np.array(camera["R"])).tolist()
        camera["t"] = (about @ np.array(camera["t"])).tolist()
    change_cameras(source, turn)


def edit(key, value):
    """Damage that gives cam01 another value."""
    return lambda source: change_cameras(source, lambda all: all["cameras"]["cam01"].update({key: value}))


def without(key):
    return lambda source: change_cameras(source, lambda all: all["cameras"]["cam01"].pop(key))


BROKEN = {
    "no cameras": (lambda s: (s / "cameras.json").unlink(), "cameras.json is missing"),
    "half of the cameras": (lambda s: truncate(s / "cameras.json"), "cameras.json is not whole JSON"),
    "no camera described": (lambda s: (s / "cameras.json").write_text("[]"), "describes no cameras"),
    "no width": (without("width"), "cam01 has no width"),
    "K of words": (edit("K", "wide"), "camera cam01 is not K"),
    "a mirror": (edit("R", np.diag([1, 1, -1]).tolist()), "R of camera cam01 is no rotation"),
    "K without focal length": (edit("K", np.zeros((3, 3)).tolist()), "cam01 needs finite K"),
    "no meshes": (lambda s: (s / "mesh.npz").unlink(), "no mesh.npz or anny_registration.npz"),
    "half of the meshes": (lambda s: truncate(s / "mesh.npz"), "mesh.npz can't be read"),
    "no faces": (lambda s: change_meshes(s, faces=None), "mesh.npz has no faces"),
    "NaN vertices": (with_nan, "3 of 840 vertices of frame 2 are NaN"),
    "a frame twice": (lambda s: change_meshes(s, frames=np.array([0, 2, 2])), "frame 2 is registered twice"),
    "a mesh too few": (lambda s: change_meshes(s, frames=np.array([0, 2])), "don't belong together"),
    "frames of no film": (lambda s: change_meshes(s, frames=np.array([-1e14, 0, 2])), "no numbers of frames"),
    "half a frame": (lambda s: change_meshes(s, frames=np.array([0, 0.5, 2])), "no numbers of frames"),
    "faces of NaN": (lambda s: change_meshes(s, faces=np.full((1440, 3), np.nan)), "expected whole numbers"),
    "UVs in words": (lambda s: change_meshes(s, uv=np.full((1440, 2), "x")), "mesh.npz: .*str"),
    "flat UVs": (lambda s: change_meshes(s, uv=np.zeros((910, 1))), "mesh.npz: uv has the shape"),
    "rates of no film": (lambda s: change_cameras(s, lambda d: d.update(fps=1e300)), "states 1e.300 frames"),
    "other faces": (lambda s: change_meshes(s, faces=np.full((1440, 3), 9999)), "mesh.npz: faces names"),
    "a picture of another shape": (lambda s: resized(s / "frames/cam01/0002.jpg", (160, 200)),
                                   "0002.jpg is 160x200 pixels, but others of the same camera are 160x240"),
    "a small picture": (lambda s: resized(s / "frames/cam01/0002.jpg", (80, 120)), "0002.jpg is 80x120"),
    "a camera of another shape": (edit("width", 400), "cam01 was calibrated with pictures of 400x480 pixels"),
    "a small mask": (lambda s: resized(s / "masks/cam01/0002.png", (80, 120)), "0002.png is 80x120"),
    "half of a picture": (lambda s: truncate(s / "frames/cam02/0002.jpg"), "0002.jpg can't be read"),
    "half of a mask": (lambda s: truncate(s / "masks/cam02/0002.png"), "0002.png can't be read"),
    "an empty mask": (lambda s: blacken(s / "masks/cam02/0002.png"), "0002.png is empty"),
    "a missing mask": (lambda s: (s / "masks/cam02/0002.png").unlink(), "0002.png is missing, the mask of"),
    "a missing picture": (lambda s: (s / "frames/cam02/0002.jpg").unlink(), "0002.png is the mask of"),
    "a picture twice": (lambda s: shutil.copy(s / "frames/cam02/0002.jpg", s / "frames/cam02/2.jpg"),
                        "are both frame 2"),
    "a picture by name": (lambda s: shutil.copy(s / "frames/cam02/0002.jpg", s / "frames/cam02/best.jpg"),
                          "best.jpg is not named by its frame number"),
    "no pictures": (lambda s: [shutil.rmtree(s / kind) for kind in ("frames", "masks")], "holds no picture"),
    "a camera that looks away": (turned_away, "cam02 looks away .*all vertices lie behind it"),
    "a camera that aims beside": (edit("t", [50.0, 0.0, 3.0]), "cam01 looks away .*0 of 840 vertices"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_gets_one_clear_line_and_loses_nothing(case, source, tmp_path):
    damage, complaint = BROKEN[case]
    old = tmp_path / "capture"
    old.mkdir()
    (old / "capture.json").write_text("an older capture")
    damage(source)
    with pytest.raises((ValueError, FileNotFoundError), match=complaint) as raised:
        prepare(source, old, format="registered")
    assert "\n" not in str(raised.value)
    assert (old / "capture.json").read_text() == "an older capture"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["capture", "source"]


# the real ones

def test_turning_person(real_capture):
    capture = real_capture("turning-person")
    assert len(capture.views()) == 6 and capture.up.tolist() == [0, 1, 0]
    overlaps = mask_overlaps(capture).values()
    assert all(0.9 < overlap < 0.95 for overlap in overlaps)  # its authors say 0.89 to 0.94
    assert all(view.certain.all() for view in capture.views())


def test_beam_walker(real_capture):
    capture = load_capture(real_capture("beam-walker").path)
    assert {name: camera.size for name, camera in capture.cameras.items()} == {
        "cam01": (960, 540), "cam02": (960, 540), "cam03": (960, 544)}
    assert capture.up.tolist() == [0, 0, 1] and "pose2sim" in capture.licence
    assert sum(shot.registered for shot in capture.shots) == 30 and len(capture.shots) == 57
    assert all(overlap > 0.999 for overlap in mask_overlaps(capture).values())  # the masks are the mesh
    view = capture.views(cameras=["cam02"], frames=[8])[0]
    person, doubtful = view.mask[0, 0].nonzero(), (~view.certain[0, 0]).nonzero()
    assert (person.amin(0) - doubtful.amin(0)).tolist() == [8, 8]
    assert (doubtful.amax(0) - person.amax(0)).tolist() == [8, 8]
    assert torch.isfinite(capture.body(view.pose).vertices).all()
    assert capture.background("cam02").shape == view.image.shape
