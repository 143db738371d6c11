"""capture.json of a stranger: it names nothing outside of its folder, and no sizes beyond any picture."""

import json

import pytest

from anr_core.capture import load_capture
from anr_core.cli import main


@pytest.fixture
def source(small_capture):
    return small_capture.path


def changed(folder, *path_and_value):
    """capture.json with one entry, at the end of a path of keys, of another value."""
    *path, key, value = path_and_value
    file = folder / "capture.json"
    index = record = json.loads(file.read_text())
    for name in path:
        record = record[name]
    record[key] = value
    file.write_text(json.dumps(index))


@pytest.mark.parametrize("name", [
    "../../outside.png", "/etc/hostname", "a/../../b.png", "C:\\x.png", "C:x.png", "a\\..\\b", "//host/x",
    "", "a\0b", "a\nb", "x" * 2000, 7, ["a"], {}])
@pytest.mark.parametrize("which", ["image", "mask", "certain", "truth", "input"])
def test_pictures_lie_in_the_capture(copied, which, name):
    changed(copied, "shots", 0, which, name)
    with pytest.raises(ValueError, match=rf"\A[^\n]*capture.json is broken .{which} of a shot is [^\n]*\Z"):
        load_capture(copied)


def test_backgrounds_lie_in_the_capture(copied):
    changed(copied, "backgrounds", "cam01", "../../../etc/hostname")
    with pytest.raises(ValueError, match="the background of 'cam01' is .*no path inside of the capture"):
        load_capture(copied)


def test_a_cameras_name_is_no_path_to_write_to(copied, tmp_path, capsys):
    index = json.loads((copied / "capture.json").read_text())
    index["cameras"]["../../outside"] = index["cameras"].pop("cam01")
    for shot in index["shots"]:
        shot["camera"] = shot["camera"].replace("cam01", "../../outside")
    (copied / "capture.json").write_text(json.dumps(index))
    assert main(["mask", str(copied)]) == 2
    assert "is called '../../outside', which is no name of a folder" in capsys.readouterr().err
    assert not (tmp_path / "outside").exists() and not (tmp_path.parent / "outside").exists()


@pytest.mark.parametrize(("path", "value", "told"), [
    (("cameras", "cam01", "size"), [10**6, 10**6], "expected .H, W. of at most"),
    (("cameras", "cam01", "size"), [0, 5], "expected .H, W."),
    (("cameras", "cam01", "size"), "ab", "expected list"),
    (("cameras", "cam01", "K"), [[1, 2], [3]], "K of camera cam01"),
    (("cameras", "cam01", "t"), [1, 2, float("nan")], "NaN"),
    (("cameras", "cam01", "t"), [10**400, 0, 0], "t of"),
    (("fps",), float("nan"), "fps is nan"), (("fps",), 0, "fps is 0"), (("fps",), True, "fps is True"),
    (("up",), [0, 0], "up has the shape"), (("shots",), [], "it has no shots"),
    (("shots",), {}, "expected list"),
    (("shots", 0, "frame"), 1.5, "frame of a shot"), (("shots", 0, "frame"), -1, "no number of a frame"),
    (("shots", 0, "camera"), "cam99", "which is not described"), (("person",), None, "person is"),
    (("shots", 0, "evil"), 1, "which no shot has"), (("body",), 3, "body is"),
    (("keypoints",), "fish", "skeleton 'fish' is unknown"),
])
def test_entries_are_what_they_have_to_be(copied, path, value, told):
    changed(copied, *path, value)
    with pytest.raises(ValueError, match=rf"\A[^\n]*capture.json is broken .*{told}[^\n]*\Z"):
        load_capture(copied)


def test_json_that_is_deep_is_told_in_one_line(copied):
    (copied / "capture.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"\A[^\n]*capture.json is broken [^\n]*\Z"):
        load_capture(copied)
    (copied / "capture.json").write_text("[]")
    with pytest.raises(ValueError, match="capture.json is of version None"):
        load_capture(copied)
