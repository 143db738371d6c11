"""Sessions of pose2sim, and Qualisys' calibration that they come with: trials, axes, units, damage."""

import shutil
import zipfile

import numpy as np
import pytest
import torch

from anr_core.camera import Camera
from anr_core.capture import load_capture
from anr_core.capture.fetching import store
from anr_core.capture.readers import find_reader
from anr_core.capture.readers.calibration import Calibration
from anr_core.capture.readers.pose2sim import _located, read, read_calibration, recognises
from anr_core.capture.readers.qualisys import read_qualisys, upright
from anr_core.capture.readers.timing import Span
from anr_core.capture.sample import FILE
from anr_core.cli import main
from anr_core.prepare import prepare
from tests.conftest import REAL_CAPTURES
from tests.small_sources import NAMES, SIZE, cameras, seen, write_qca, write_session, write_video


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Read only: two trials."""
    return write_session(tmp_path_factory.mktemp("pose2sim") / "S00_Session")


def trial(session):
    return session / "S00_P00_Participant" / "S00_P00_T01_Walk"


@pytest.fixture
def lone(session, tmp_path):
    """To change: the trial and its calibration."""
    shutil.copytree(trial(session), trial(tmp_path))
    shutil.copytree(session / "S00_Calibration", tmp_path / "S00_Calibration")
    return tmp_path


def assert_same_cameras(made, atol=1e-4):
    for name, camera in cameras().items():
        for field in ("K", "R", "t"):
            torch.testing.assert_close(getattr(made.cameras[name], field), getattr(camera, field),
                                       atol=atol, rtol=1e-5)


# sessions

def test_a_trial_finds_the_calibration_of_its_session(session, tmp_path, capsys):
    made = prepare(trial(session), tmp_path / "capture")
    assert made.format == "pose2sim" and len(made.shots) == 6
    assert "calibrated by S00_Session/S00_Calibration/Calib.qca.txt." in capsys.readouterr().out
    assert_same_cameras(made)
    torch.testing.assert_close(made.keypoints["cam2", 1], torch.from_numpy(seen(cameras()["cam2"], 1)),
                               atol=1e-3, rtol=0)


def test_of_several_trials_one_has_to_be_chosen(session, tmp_path, capsys):
    assert main(["prepare", str(session), str(tmp_path / "capture")]) == 2
    complaint = capsys.readouterr().err
    assert "several trials: S00_P00_T00_Static, S00_P00_T01_Walk. Choose" in complaint
    assert complaint.endswith("--trial S00_P00_T01_Walk\n") and not list(tmp_path.iterdir())
    for wrong in ("S00_P00_T02", "../S00_Session", "*", "videos"):
        assert main(["prepare", str(session), str(tmp_path / "capture"), "--trial", wrong]) == 2
        assert f"{wrong}" in (complaint := capsys.readouterr().err) and "--trial" in complaint


def test_a_trial_is_chosen_in_a_packed_session(session, tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "package.whl", "w") as packed:
        packed.writestr("package-1.dist-info/LICENSE", "free")
        for file in session.rglob("*"):
            packed.write(file, f"package/{file.relative_to(session.parent)}")
    source = str(tmp_path / "package.whl")
    assert main(["prepare", source, str(tmp_path / "capture"), "--trial", "S00_P00_T00_Static"]) == 0
    said = capsys.readouterr().out
    assert f"{source}/package/S00_Session/S00_P00_Participant/S00_P00_T00_Static: format pose2sim" in said
    assert_same_cameras(load_capture(tmp_path / "capture"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["capture", "package.whl"]


def test_the_only_trial_is_taken_wherever_its_calibration_is_named(lone):
    file = lone / "S00_Calibration" / "Calib.qca.txt"
    for source in (lone, lone / "S00_Calibration", file, trial(lone)):
        assert recognises(source) and _located(source) == (file, [trial(lone)])
    shutil.move(file, trial(lone))
    assert _located(trial(lone)) == (trial(lone) / "Calib.qca.txt", [trial(lone)])
    assert_same_cameras(read(lone, Span(end=0)))


def test_a_calibration_of_other_cameras_nearby_is_not_that_of_a_film(tmp_path):
    write_qca(tmp_path / "calibration" / "Calib.qca.txt")
    write_video(tmp_path / "holiday" / "beach.mp4", "cam1", range(2))
    assert find_reader(tmp_path / "holiday")[0] == "plain"


def test_a_toml_is_preferred_to_what_it_was_made_from(lone):
    (lone / "S00_Calibration" / "Calib.toml").write_text("matrix rotation translation")
    with pytest.raises(ValueError, match="Calib.toml is not whole TOML"):
        read(trial(lone))


def test_trials_of_the_same_name_are_told_apart(lone):
    shutil.copytree(lone / "S00_P00_Participant", lone / "S00_P01_Other")
    with pytest.raises(ValueError, match="S00_P00_Participant/S00_P00_T01_Walk, S00_P01_Other/S00_P00_T01_W"):
        read(lone)


# the calibration

def test_marker_cameras_and_those_that_are_off_are_left_out(session):
    found, turned = read_qualisys(session / "S00_Calibration" / "Calib.qca.txt")
    assert list(found) == ["cam_1", "cam_2", "cam_10"] and set(turned.values()) == {0}
    assert found["cam_1"].size == SIZE and len(found["cam_1"].distortion) == 4


def test_distortion_and_the_sensors_part_that_is_filmed(tmp_path):
    file = write_qca(tmp_path / "Calib.qca.txt")
    whole = read_qualisys(file)[0]["cam_1"]
    text = file.read_text().replace('left="0"', 'left="10"').replace('top="0"', 'top="6"')
    for place, name in enumerate(("radialDistortion1", "radialDistortion2", "tangentalDistortion1",
                                  "tangentalDistortion2", "radialDistortion3")):
        text = text.replace(f'{name}="0.0"', f'{name}="{0.64 * (place + 1)}"')
    file.write_text(text)
    part = read_qualisys(file)[0]["cam_1"]
    assert part.size == (SIZE[0] - 6, SIZE[1] - 10)
    np.testing.assert_allclose(whole.K - part.K, [[0, 0, 10], [0, 0, 6], [0, 0, 0]], atol=1e-9)
    np.testing.assert_allclose(part.distortion, [0.01, 0.02, 0.03, 0.04, 0.05])  # k1 k2 p1 p2 k3


@pytest.mark.parametrize("left", [True, False])
def test_a_camera_that_lies_on_its_side_sees_the_same_in_turned_pictures(left):
    """Pixels of the sensor, turned by hand, are those that the turned calibration gives."""
    height, width = 90, 120
    K = np.array([[100.0, 2, 63], [0, 110, 41], [0, 0, 1]])
    lens = np.array([0.1, -0.05, 0.02, -0.03, 0.01])
    up = -1.0 if left else 1.0
    R = np.array([[0, 0, up], [-up, 0, 0], [0, -1, 0]])
    sensor = Calibration(K, R, np.array([0.1, -0.2, 3]), lens, (height, width))
    turned, notes = upright("cam", sensor, (width, height))
    points = torch.from_numpy(np.random.default_rng(0).uniform(-0.5, 0.5, (1, 20, 3)))
    u, v = pixels(sensor, points)
    by_hand = np.stack([height - 1 - v, u] if left else [v, width - 1 - u])
    np.testing.assert_allclose(pixels(turned, points), by_hand, atol=1e-9)
    assert turned.size == (width, height) and turned.R[1, 2] < 0  # Z points up in the picture
    assert ("counterclockwise" in notes[0]) is not left
    assert upright("cam", sensor, (height // 2, width // 2))[0] is sensor


def pixels(calibration, points):
    K, R, t, lens = (torch.from_numpy(value)[None] for value in
                     (calibration.K, calibration.R, calibration.t, calibration.distortion))
    return Camera(K, R, t, lens).project(points)[0][0].T.numpy()


def test_upright_pictures_of_lying_cameras_become_the_cameras_that_took_them(lone):
    write_qca(lone / "S00_Calibration" / "Calib.qca.txt", lying=("cam2", "cam10"))
    footage = read(trial(lone))
    assert_same_cameras(footage)
    assert footage.up == (0, 0, 1) and sum("turned upright, clockwise" in note for note in footage.notes) == 2


def test_which_way_pictures_of_a_camera_that_looks_down_were_turned_is_not_guessed():
    down = Calibration(np.diag([100.0, 100, 1]), np.diag([1.0, -1, -1]), np.zeros(3), np.zeros(4), (90, 120))
    with pytest.raises(ValueError, match="looks down too steeply"):
        upright("cam", down, (120, 90))


# damage

def replaced(old, new, count=-1):
    def change(text):
        assert old in text
        return text.replace(old, new, count)
    return change


BOMB = ("<!DOCTYPE c [<!ENTITY a 'aaaaaaaaaa'>" +
        "".join(f"<!ENTITY a{n} '{f'&a{n - 1 or str()};' * 10}'>" for n in range(1, 12)) + "]>")
DAMAGE = {
    "truncated": (lambda text: text[:len(text) // 2], "is not whole XML"),
    "empty": (lambda text: "", "is not whole XML"),
    "other XML": (lambda text: "<svg/>", "describes no cameras"),
    "no camera on": (replaced('active="1"', 'active="0"'), "describes no cameras"),
    "no transform": (replaced("<transform", "<tronsform", 1), "camera cam_1 has no <transform>"),
    "no focal length": (replaced("focalLengthU", "focal", 1), "<intrinsic> of cam.* has no focalLengthU"),
    "NaN": (replaced('r11="', 'r11="nan" old="', 1), 'camera cam_1 has r11="nan", which is no number'),
    "words": (replaced('bottom="', 'bottom="none" old="', 1), 'has bottom="none", which is no number'),
    "infinite": (replaced('focalLengthV="', 'focalLengthV="9e999" old="', 1), "which is no number"),
    "huge": (replaced('centerPointU="', 'centerPointU="1e300" old="', 1), "needs finite K"),
    "no name": (replaced('serial="cam_2"', 'serial=""'), "camera 2 has no serial"),
    "twice": (replaced('serial="cam_2"', 'serial="cam_1"'), "has camera cam_1 twice"),
    "mirrored": (replaced('r11="', 'r11="9" old="', 1), "R of camera cam_1 is no rotation"),
    "no size": (replaced('right="', 'right="-2" old="', 1), "has pictures of"),
    "odd rotation": (replaced('viewrotation="0"', 'viewrotation="45"'), "has viewrotation 45; 0, 90, 180"),
    "pixels": (replaced('focalLengthU="', 'focalLengthU="99" old="', 1), "not in 1/64 pixel"),
    "micrometres": (replaced(' x="', ' x="9e6" old="', 1), "stands 9e\\+03 m .* not in millimetres"),
    "bomb": (replaced("<calibration", BOMB + "<calibration", 1), "defines types or entities"),
    "deep": (replaced("<cameras>", "<a>" * 20_000, 1), "is not whole XML"),
    "encoded": (lambda text: "\ud800", "is no text"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_of_qualisys_is_one_line_that_names_it(kind, lone):
    change, complaint = DAMAGE[kind]
    file = lone / "S00_Calibration" / "Calib.qca.txt"
    file.write_bytes(change(file.read_text()).encode("utf-8", "surrogatepass"))
    assert find_reader(trial(lone))[0] == "pose2sim"
    with pytest.raises(ValueError, match=complaint) as raised:
        read(trial(lone))
    assert str(file) in str(raised.value) and "\n" not in str(raised.value)


def test_metres_are_not_taken_for_millimetres(lone):
    file = lone / "S00_Calibration" / "Calib.qca.txt"
    words = file.read_text().split(" ")
    for place, word in enumerate(words):
        if word[:3] in ('x="', 'y="', 'z="'):
            number, _, rest = word[3:].partition('"')
            words[place] = f'{word[:3]}{float(number) / 1000}"{rest}'
    file.write_text(" ".join(words))
    with pytest.raises(ValueError, match="are in metres, not in millimetres. Multiply"):
        read(trial(lone))


def test_whichever_byte_is_damaged_reading_goes_on_or_says_so(tmp_path):
    file = write_qca(tmp_path / "Calib.qca.txt")
    content, chance, refused = file.read_bytes(), np.random.default_rng(0), 0
    for _ in range(300):
        broken = bytearray(content)
        place = chance.integers(len(broken))
        broken[place:place + chance.integers(3)] = chance.bytes(chance.integers(3))
        file.write_bytes(broken)
        try:
            read_qualisys(file)
        except ValueError as error:
            refused += 1
            assert "\n" not in str(error) and str(file) in str(error)
    assert refused > 30


def test_a_camera_that_is_missing_is_left_out_and_said(lone):
    file = lone / "S00_Calibration" / "Calib.qca.txt"
    file.write_text(file.read_text().replace('<camera active="1" model="Miqus Video" serial="cam_2"',
                                             '<camera active="0" model="Miqus Video" serial="cam_2"'))
    footage = read(trial(lone))
    assert list(footage.cameras) == [name for name in NAMES if name != "cam2"]
    assert "cam2 is not calibrated in Calib.qca.txt and is left out." in footage.notes


# the real one

def test_the_published_calibration_is_what_pose2sim_makes_of_it(tmp_path):
    file, oracle = store() / "sample" / FILE, REAL_CAPTURES / "beam-walker" / "original_calibration.toml"
    if not (file.is_file() and oracle.is_file()):
        pytest.skip(f"{file} (prepare sample) or {oracle} (ANR_DATA) is not there")
    with zipfile.ZipFile(file) as package:
        name = "Pose2Sim/S00_Demo_Session/S00_Calibration/Calib.qca.txt"
        (tmp_path / "Calib.qca.txt").write_bytes(package.read(name))
    found = read_qualisys(tmp_path / "Calib.qca.txt")[0]
    expected = read_calibration(oracle)
    assert list(found) == list(expected)
    for name, calibration in expected.items():
        assert found[name].size == calibration.size
        for field in ("K", "R", "t", "distortion"):
            np.testing.assert_allclose(getattr(found[name], field), getattr(calibration, field), atol=1e-14)
