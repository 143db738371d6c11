"""People-Snapshot, in the layout that its authors hand out."""

import pickle

import numpy as np
import pytest
import torch

from anr_core.capture.readers import find_reader, people_snapshot
from anr_core.capture.readers.timing import Span
from anr_core.prepare import prepare
from tests.body.test_smpl import blend_skinning, tiny_model, write
from tests.capture.readers.small_datasets import SIZE, make_people_snapshot, standing_cameras

h5py = pytest.importorskip("h5py")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("snapshot") / "female-9-casual"
    np.save(folder.with_suffix(".npy"), make_people_snapshot(folder))
    return folder


def test_the_dataset_becomes_a_capture(source, tmp_path, capsys):
    capture = prepare(source, tmp_path / "capture")
    assert "format people-snapshot" in capsys.readouterr().out
    assert capture.fps == 25 and [shot.frame for shot in capture.shots] == [0, 1, 2, 3]
    assert capture.licence.startswith("People-Snapshot: non-commercial") and not capture.uncalibrated
    camera = capture.cameras["camera"]
    torch.testing.assert_close(camera.K, standing_cameras(1)[0].K)
    assert camera.size == SIZE and camera.t.abs().max() == 0 and capture.up.tolist() == [0, -1, 0]
    view = capture.views(frames=[3])[0]
    with h5py.File(source / "masks.hdf5") as stored:
        np.testing.assert_array_equal(view.mask[0, 0], stored["masks"][3])
    assert capture.skeleton == "coco17"
    # nose, then OpenPose's left eye, which is the 16th of its 18
    assert view.keypoints[0, 0, 0] == 3 * 54 and view.keypoints[0, 1, 0] == 3 * 54 + 15 * 3


def test_without_a_model_the_parameters_are_kept_for_the_fit(source, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("ANR_CORE_SMPL", raising=False)
    capture = prepare(source, tmp_path / "capture")
    assert capture.registration is None and "4 poses of SMPL are kept" in capsys.readouterr().out
    with np.load(capture.path / "foreign.npz") as kept:
        expected = np.load(source.with_suffix(".npy"))  # the last of the five belong to the four masks
        np.testing.assert_allclose(np.hstack([kept["poses"], kept["trans"]]), expected, atol=1e-6)


def test_with_the_users_model_the_parameters_become_meshes(source, tmp_path, monkeypatch):
    pytest.importorskip("smplx")
    model = tiny_model("smpl")
    write(tmp_path / "SMPL_FEMALE.pkl", model)
    monkeypatch.setenv("ANR_CORE_SMPL", str(tmp_path))
    footage = people_snapshot.read(source)
    for mesh, row in zip(footage.vertices, np.load(source.with_suffix(".npy")), strict=True):
        turns = torch.from_numpy(row[:72].reshape(24, 3))
        expected, _ = blend_skinning(model, np.linspace(-1, 1, 10), turns, row[72:])
        np.testing.assert_allclose(mesh, expected, atol=1e-5)
    assert all(take.registered for take in footage.takes)


def test_seconds_choose_frames(source):
    assert [take.frame for take in people_snapshot.read(source, Span(start=0.04, end=0.08)).takes] == [1, 2]
    assert find_reader(source)[0] == "people-snapshot"


def rewritten(file, **arrays):
    with h5py.File(file, "w") as out:
        for name, array in arrays.items():
            out[name] = array


def repickled(file, change):
    record = pickle.loads(file.read_bytes())
    change(record)
    file.write_bytes(pickle.dumps(record, 2))


def cut(file, length):
    file.write_bytes(file.read_bytes()[:length])


def borrowed(file):
    """An array whose numbers are another file's bytes."""
    with h5py.File(file, "w") as out:
        out.create_dataset("masks", (4, *SIZE), "u1", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def linked(file):
    file.rename(file.with_name("elsewhere.hdf5"))
    with h5py.File(file, "w") as out:
        out["masks"] = h5py.ExternalLink("elsewhere.hdf5", "/masks")


def endless(file):
    with h5py.File(file, "w") as out:
        out.create_dataset("masks", (10**12, *SIZE), "u1", chunks=True)


def huge(file):
    with h5py.File(file, "w") as out:
        out.create_dataset("pose", (10**9, 72), "f8", chunks=True)
        out["betas"], out["trans"] = np.zeros(10), np.zeros((4, 3))


@pytest.mark.parametrize(("spoil", "complaint"), [
    (lambda f: rewritten(f / "masks.hdf5", other=np.zeros(3)), "masks.hdf5 has no array masks; it has other"),
    (lambda f: rewritten(f / "masks.hdf5", masks=np.zeros((4, 9, 9), "u1")), r"the shape \(4, 9, 9\)"),
    (lambda f: rewritten(f / "masks.hdf5", masks=np.zeros((0, *SIZE), "u1")), r"masks have the shape \(0,"),
    (lambda f: rewritten(f / "masks.hdf5", masks=np.ones((9, *SIZE), "u1")), "for 9 masks"),
    (lambda f: endless(f / "masks.hdf5"), "has 1000000000000 masks, but female-9-casual.mp4 has about"),
    (lambda f: rewritten(f / "masks.hdf5", masks=np.array([b"x"])), "has no array masks"),
    (lambda f: borrowed(f / "masks.hdf5"), "has no array masks"),
    (lambda f: linked(f / "masks.hdf5"), "has no array masks"),
    (lambda f: rewritten(f / "reconstructed_poses.hdf5", pose=np.zeros((4, 69)), trans=np.zeros((4, 3)),
                         betas=np.zeros(10)), r"pose has the shape \(4, 69\), expected \(n, 72\)"),
    (lambda f: rewritten(f / "reconstructed_poses.hdf5", pose=np.full((4, 72), np.nan),
                         trans=np.zeros((4, 3)), betas=np.zeros(10)), "pose has 288 values that are NaN"),
    (lambda f: huge(f / "reconstructed_poses.hdf5"), "more than any video"),
    (lambda f: cut(f / "masks.hdf5", 900), "masks.hdf5 can't be read"),
    (lambda f: (f / "camera.pkl").write_bytes(b"\x80\x02cos\nsystem\n."), "wants os.system"),
    (lambda f: repickled(f / "camera.pkl", lambda r: r.pop("camera_f")), "camera.pkl has no camera_f"),
    (lambda f: repickled(f / "camera.pkl", lambda r: r.update(camera_c=[1, 2, 3])), "camera_c has the"),
    (lambda f: repickled(f / "camera.pkl", lambda r: r.update(camera_f=[-1, 1])), "positive focal lengths"),
    (lambda f: repickled(f / "camera.pkl", lambda r: r.update(width="wide")), "in numbers"),
    (lambda f: (f / "female-9-casual.mp4").write_bytes(b"no film"), "can't be read as a video"),
    (lambda f: (f / "female-9-casual.mp4").unlink(), "has no video"),
])
def test_broken_files_are_refused_in_one_line(copied, tmp_path, spoil, complaint):
    spoil(copied)
    with pytest.raises((ValueError, FileNotFoundError), match=complaint) as refused:
        prepare(copied, tmp_path / "capture", "people-snapshot")
    assert "\n" not in str(refused.value) and not (tmp_path / "capture").exists()


def test_h5py_is_asked_for_in_one_line(source, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ImportError, match="pip install h5py"):
        people_snapshot.read(source)
