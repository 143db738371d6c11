"""Annotating with recorded detections: what is made, kept and refused, and what a killed run leaves."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from anr_core.capture import changing, load_capture
from anr_core.capture.pictures import read_image, read_mask
from anr_core.cli import main
from anr_core.prepare import prepare
from anr_core.prepare.annotate import UNFINISHED, annotate, ranges
from anr_core.prepare.annotators import Annotator, Person
from anr_core.skeleton import BODY25, COCO17, shared_joints
from tests.conftest import REAL_CAPTURES
from tests.small_sources import SIZE, cameras, picture, seen, write_easymocap, write_openpose

FRAMES = range(12)


def coco(points):
    """BODY_25's points (25, 3) as COCO's 17."""
    moved, (taken, places) = np.zeros((17, 3), np.float32), shared_joints(BODY25, COCO17)
    moved[places] = points[taken]
    return moved


def played(camera="cam2", frame=0):
    """The person as a camera sees them."""
    return Person(coco(seen(cameras()[camera], frame)), picture(cameras()[camera], frame)[1])


def aside(person, shift, scale):
    """Somebody else, smaller and elsewhere, without a mask."""
    moved = (person.keypoints[:, :2] - [45, 60]) * scale + [45 + shift, 60]
    return Person(np.concatenate([moved, person.keypoints[:, 2:]], 1).astype(np.float32), None)


def recorded(recording, name="recorded"):
    """An annotator that plays lists of people back; what it was asked for is in its `asked`."""
    def find(pictures):
        for image in pictures:
            recorder.asked.append(image.shape)
            yield recording[len(recorder.asked) - 1]

    recorder = find
    recorder.asked = []
    return Annotator(name, "coco17", find)


def everyone(frames=FRAMES):
    return [[aside(played(frame=frame), 30, 0.4), played(frame=frame)] for frame in frames]


@pytest.fixture(scope="module")
def bare_source(tmp_path_factory):
    """Read only: twelve pictures and nothing else."""
    folder = tmp_path_factory.mktemp("bare") / "film" / "frames"
    folder.mkdir(parents=True)
    for frame in FRAMES:
        Image.fromarray(picture(cameras()["cam2"], frame)[0]).save(folder / f"{frame:04d}.png")
    return folder


@pytest.fixture
def bare(bare_source, tmp_path):
    """A capture of them."""
    return prepare(bare_source, tmp_path / "capture").path


def digests(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# what is made

def test_every_picture_gets_the_persons_keypoints_and_mask(bare, capsys):
    made = annotate(bare, recorded(everyone()))
    assert made.skeleton == "coco17" and len(made.keypoints) == len(FRAMES)
    for shot in made.shots:
        person = played(frame=shot.frame)
        assert np.array_equal(made.keypoints["camera", shot.frame].numpy(), person.keypoints)
        assert np.array_equal(read_mask(made.path / shot.mask), person.mask)
    assert not (bare / UNFINISHED).exists() and not list(bare.rglob(".new*"))
    told = capsys.readouterr()
    assert "keypoints in 12 pictures" in told.out and "warning" not in told.out.split("looked at")[1]
    assert "12/12" in told.err  # the bar


def test_the_annotator_sees_the_pictures_as_they_are_in_order(bare):
    shown = []

    def find(pictures):
        for image in pictures:
            shown.append(image)
            yield [played()]

    annotate(bare, Annotator("recorded", "coco17", find))
    shots = load_capture(bare).shots
    assert all(np.array_equal(image, read_image(bare / shot.image))
               for image, shot in zip(shown, shots, strict=True))


def test_frames_with_nobody_are_named_and_left_without(bare, capsys):
    people = everyone()
    for frame in (0, 4, 5, 6, 11):
        people[frame] = people[frame][:1] if frame == 5 else []
    made = annotate(bare, recorded(people))
    assert "not found in 5 pictures: 0, 4 to 6, 11" in capsys.readouterr().out
    assert sorted(frame for _, frame in made.keypoints) == [1, 2, 3, 7, 8, 9, 10]
    assert [shot.frame for shot in made.shots if shot.mask is None] == [0, 4, 5, 6, 11]


def test_each_camera_of_several_is_followed_by_itself(tmp_path):
    source = write_easymocap(tmp_path / "source", range(3))
    shutil.rmtree(source / "openpose"), shutil.rmtree(source / "mask")
    capture = prepare(source, tmp_path / "capture")
    order = [(name, frame) for name in capture.cameras for frame in range(3)]
    made = annotate(capture.path, recorded([[played(*place)] for place in order]))
    assert made.keypoints.keys() == set(order)
    assert all(np.array_equal(made.keypoints[place].numpy(), played(*place).keypoints) for place in order)


@pytest.mark.parametrize(("frames", "told"), [([3], "3"), ([1, 2, 4], "1 to 2, 4"),
                                              (range(0, 40, 2), "0, 2, 4, 6, 8, 10 and 14 more")])
def test_frames_are_told_in_ranges(frames, told):
    assert ranges(frames) == told


# what is there already

@pytest.fixture
def half_done(bare_source, tmp_path):
    """A capture with OpenPose's keypoints of frames 0 to 7 and masks of frames 4 to 9."""
    film = shutil.copytree(bare_source.parent, tmp_path / "film")
    write_openpose(film / "keypoints", "cam2", range(8))
    (film / "masks").mkdir()
    for frame in range(4, 10):
        Image.fromarray(picture(cameras()["cam2"], frame)[1]).save(film / "masks" / f"{frame:04d}.png")
    return prepare(film / "frames", tmp_path / "capture").path


def test_only_what_is_missing_is_made(half_done):
    before, files = load_capture(half_done), digests(half_done / "masks")
    annotator = recorded([everyone()[frame] for frame in (0, 1, 2, 3, 8, 9, 10, 11)])
    made = annotate(half_done, annotator)
    assert len(annotator.find.asked) == 8 and made.skeleton == "body25"
    for key, points in before.keypoints.items():
        assert torch.equal(made.keypoints[key], points)
    assert digests(half_done / "masks").items() >= files.items() and len(made.keypoints) == 12
    assert all(shot.mask is not None for shot in made.shots)


def test_what_is_added_to_another_set_has_the_points_that_both_know(half_done, capsys):
    made = annotate(half_done, recorded([everyone()[frame] for frame in (0, 1, 2, 3, 8, 9, 10, 11)]))
    added, truth = made.keypoints["camera", 9].numpy(), seen(cameras()["cam2"], 9)
    known = [name in COCO17.names for name in BODY25.names]
    assert np.allclose(added[known], truth[known]) and not added[~np.array(known)].any()
    assert "were there are body25" in capsys.readouterr().out


def test_keypoints_and_masks_that_are_there_tell_who_the_person_is(half_done):
    """Somebody twice as large stands beside in the pictures that lack something."""
    frames = (0, 1, 2, 3, 8, 9, 10, 11)
    made = annotate(half_done, recorded([[aside(played(frame=frame), -25, 1.4), played(frame=frame)]
                                         for frame in frames]))
    for frame in (8, 9, 10, 11):
        assert np.allclose(made.keypoints["camera", frame].numpy()[4], seen(cameras()["cam2"], frame)[4])


def test_masks_become_those_of_the_person_whom_the_keypoints_show_and_the_other_way_round(bare_source,
                                                                                         tmp_path):
    """Somebody larger stands beside in every picture, and has a mask too."""
    all_white = np.full(SIZE, 255, np.uint8)
    people = [[Person(aside(played(frame=frame), -25, 1.4).keypoints, all_white), played(frame=frame)]
              for frame in FRAMES]
    film = shutil.copytree(bare_source.parent, tmp_path / "keypoints")
    write_openpose(film / "keypoints", "cam2", FRAMES)
    made = annotate(prepare(film / "frames", tmp_path / "first").path, recorded(people))
    assert all(np.array_equal(read_mask(made.path / shot.mask), played(frame=shot.frame).mask)
               for shot in made.shots)
    shutil.rmtree(film / "keypoints"), (film / "masks").mkdir()
    for frame in FRAMES:
        Image.fromarray(played(frame=frame).mask).save(film / "masks" / f"{frame:04d}.png")
    made = annotate(prepare(film / "frames", tmp_path / "second").path, recorded(people))
    assert all(np.array_equal(points.numpy(), played(frame=frame).keypoints)
               for (_, frame), points in made.keypoints.items()) and len(made.keypoints) == 12


def test_nothing_is_done_where_nothing_is_missing_unless_again(bare, capsys):
    annotate(bare, recorded(everyone()))
    idle = recorded([])
    annotate(bare, idle)
    assert not idle.find.asked and "all 12 pictures have keypoints and masks" in capsys.readouterr().out
    other = recorded([[Person(played().keypoints + np.float32([1, 0, 0]), None)]] * 12)
    made = annotate(bare, other, again=True)
    assert len(other.find.asked) == 12 and all(shot.mask is None for shot in made.shots)
    assert torch.allclose(made.keypoints["camera", 5], torch.from_numpy(played().keypoints) + torch.eye(3)[0])
    assert not list((bare / "masks").rglob("*.png"))


# killed

class Killed(BaseException):
    pass


def killed_after(count):
    """An annotator that is killed while it looks at a picture."""
    def find(pictures):
        for place, _ in enumerate(pictures):
            if place == count:
                raise Killed
            yield everyone()[place]

    return Annotator("recorded", "coco17", find)


def test_what_was_killed_goes_on_where_it_stopped(bare, bare_source, tmp_path):
    before = {name: bytes_ for name, bytes_ in digests(bare).items()}
    with pytest.raises(Killed):
        annotate(bare, killed_after(7))
    assert digests(bare).items() >= before.items() and load_capture(bare).skeleton is None
    rest = recorded(everyone(range(7, 12)))
    annotate(bare, rest)
    assert len(rest.find.asked) == 5
    at_once = prepare(bare_source, tmp_path / "other").path
    annotate(at_once, recorded(everyone()))
    assert digests(bare) == digests(at_once)


@pytest.mark.parametrize("damage", [lambda file: file.write_bytes(b""),
                                    lambda file: file.write_bytes(file.read_bytes()[:-40]),
                                    lambda file: file.rename(file.with_name(".new.0003.npz"))])
def test_nothing_half_written_is_taken_for_done(bare, damage):
    with pytest.raises(Killed):
        annotate(bare, killed_after(7))
    damage(bare / UNFINISHED / "recorded" / "camera" / "0003.npz")
    rest = recorded(everyone([3, 7, 8, 9, 10, 11]))
    made = annotate(bare, rest)
    assert len(rest.find.asked) == 6 and len(made.keypoints) == 12
    assert np.array_equal(made.keypoints["camera", 3].numpy(), played(frame=3).keypoints)


@pytest.mark.parametrize(("write", "times"), [("write_mask", 1), ("write_mask", 5), ("write_keypoints", 1),
                                              ("write_index", 1), ("write_index", 2)])
def test_what_is_killed_while_it_writes_leaves_a_capture_and_goes_on(half_done, write, times, monkeypatch):
    original, calls = getattr(changing, write), []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) == times:
            raise Killed
        original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(changing, write, killed)
        with pytest.raises(Killed):
            annotate(half_done, recorded(everyone()), again=True)
    left = load_capture(half_done)
    assert left.skeleton in ("body25", None) and not list(half_done.rglob(".new*"))
    assert all(len(points) == 25 for points in left.keypoints.values())
    assert all(read_mask(half_done / shot.mask).shape == SIZE for shot in left.shots if shot.mask)
    idle = recorded([])
    made = annotate(half_done, idle, again=True)
    assert not idle.find.asked and made.skeleton == "coco17" and len(made.keypoints) == 12


# refused

def test_what_is_no_capture_is_refused(tmp_path, capsys):
    assert main(["annotate", str(tmp_path)]) == 2
    assert "has no capture.json" in capsys.readouterr().err


def test_a_capture_without_pictures_is_refused(bare, capsys):
    index = json.loads((bare / "capture.json").read_text())
    (bare / "capture.json").write_text(json.dumps({**index, "shots": []}))
    assert main(["annotate", str(bare)]) == 2
    assert "it has no shots" in capsys.readouterr().err


def test_a_picture_that_is_gone_is_named(bare):
    (bare / "frames" / "camera" / "0004.png").unlink()
    with pytest.raises(FileNotFoundError, match="0004.png is missing"):
        annotate(bare, recorded(everyone()))


def test_an_unknown_annotator_is_refused(bare, capsys):
    assert main(["annotate", str(bare), "--annotator", "clairvoyance"]) == 2
    assert "no annotator 'clairvoyance'; use torchvision or mediapipe" in capsys.readouterr().err


@pytest.mark.parametrize(("person", "complaint"), [
    (Person(np.zeros((16, 3), np.float32), None), r"keypoints are \(16, 3\), expected \(17, 3\)"),
    (Person(np.zeros((17, 2), np.float32), None), r"keypoints are \(17, 2\)"),
    (Person(np.full((17, 3), np.nan, np.float32), None), "NaN or infinite"),
    (Person(np.full((17, 3), 9, np.float32), None), "a confidence is 9, expected one in"),
    (Person(played().keypoints, np.zeros((9, 9), np.uint8)), r"a mask is \(9, 9\) uint8, expected \(120, 90"),
    (Person(played().keypoints, np.zeros(SIZE)), "float64, expected .* uint8"),
])
def test_an_answer_of_another_shape_is_refused_and_changes_nothing(bare, person, complaint):
    before = (bare / "capture.json").read_text()
    with pytest.raises(ValueError, match=f"recorded, of frames/camera/0000.png: .*{complaint}"):
        annotate(bare, recorded([[person]] * 12))
    assert (bare / "capture.json").read_text() == before and not (bare / "keypoints.npz").exists()


def test_an_annotator_that_stops_early_is_refused(bare):
    with pytest.raises(ValueError, match="said nothing of frames/camera/0003.png: it gave 3 answers to 12"):
        annotate(bare, Annotator("recorded", "coco17", lambda pictures: iter(everyone()[:3])))


def test_pictures_of_nobody_are_refused(bare):
    with pytest.raises(ValueError, match="found nobody in 12 pictures"):
        annotate(bare, recorded([[Person(np.zeros((17, 3), np.float32), None)]] * 12))
    assert not (bare / UNFINISHED).exists()


def test_keypoints_of_a_set_that_no_picture_shows_are_added_to_only_again(half_done):
    index = json.loads((half_done / "capture.json").read_text())
    (half_done / "capture.json").write_text(json.dumps({**index, "keypoints": "anny"}))
    with np.load(half_done / "keypoints.npz") as arrays:
        points = np.ones((len(arrays["frames"]), 104, 3), np.float32)
        np.savez(half_done / "keypoints.npz", **dict(arrays) | {"points": points})
    with pytest.raises(ValueError, match="'anny', which nothing can be added to.*--again"):
        annotate(half_done, recorded(everyone()))
    assert annotate(half_done, recorded(everyone()), again=True).skeleton == "coco17"


# the real one

def test_a_walker_played_back_among_others_is_found_again(tmp_path):
    source = REAL_CAPTURES / "treadmill-walker" / "frames" / "27"
    if not source.is_dir():
        pytest.skip(f"treadmill-walker is not in {REAL_CAPTURES}; set ANR_DATA to the folder that holds it")
    full = prepare(source, tmp_path / "full")
    shutil.copytree(source, tmp_path / "film" / "frames")
    capture = prepare(tmp_path / "film" / "frames", tmp_path / "capture")
    truth = {shot.frame: Person(coco(full.keypoints[shot.camera, shot.frame].numpy()),
                                read_mask(full.path / shot.mask)) for shot in full.shots}
    people, some, frames = [], np.random.default_rng(0), sorted(truth)
    for place, frame in enumerate(frames):
        person, other = truth[frame], truth[frames[-1 - place]]
        passing = other.keypoints * np.float32([1.1, 1.1, 1]) + np.float32([60 * place - 900, -40, 0])
        shown = [] if frame in (11, 13, 41) else [person]
        if place % 5 == 3:  # hardly seen
            shown = [Person(one.keypoints * np.float32([1, 1, 0.4]), one.mask) for one in shown]
        people.append([*shown, Person(passing, None)][::some.choice([1, -1])])
    made = annotate(capture.path, recorded(people))
    found = {frame: points.numpy() for (_, frame), points in made.keypoints.items()}
    assert {11, 13, 41}.isdisjoint(found) and len(found) == len(truth) - 3
    assert all(np.array_equal(found[frame][:, :2], truth[frame].keypoints[:, :2]) for frame in found)
    assert all(np.array_equal(read_mask(made.path / shot.mask), truth[shot.frame].mask)
               for shot in made.shots if shot.mask)
