"""What stands behind the person: the same words for every system, and alpha that comes back."""

import subprocess
from pathlib import Path

import imageio.v3 as imageio
import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

from anr_core.avatars import Rendering
from anr_core.avatars.run import Run
from anr_core.avatars.static import StaticTexture
from anr_core.capture.pictures import read_image
from anr_core.export import video
from anr_core.export.backgrounds import chosen_background, cut_out, read_background, still_background
from anr_core.export.looking import as_filmed
from anr_core.export.pairs import render_pairs
from anr_core.export.transfer import transfer
from anr_core.export.video import render
from anr_core.export.writing import check_name, write_folder, write_video
from anr_core.layers.behind import own_background
from anr_core.prepare import prepare
from anr_core.training import train
from tests.posed_capture import make_posed_capture
from tests.small_pairs import write_pairs

SIZE = 48


@pytest.fixture(scope="module")
def run(small_capture, tmp_path_factory):
    folder = tmp_path_factory.mktemp("backgrounds") / "run"
    list(train(small_capture, folder, "static", config={"size": SIZE, "texture_size": 64}))
    return Run.open(folder)


@pytest.fixture(scope="module")
def pairs_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    pairs = prepare(write_pairs(folder / "source"), folder / "capture")
    list(train(pairs, folder / "run", "smplpix", steps=1, config={"window": 32, "batch": 1, "width": 4}))
    return Run.open(folder / "run"), pairs


@pytest.fixture
def short(monkeypatch):
    """Videos of four pictures: two frames of the small capture, there and back, at twice its speed."""
    monkeypatch.setattr(video, "VIDEO_FPS", 30)
    monkeypatch.setattr(video, "ROUND_SECONDS", 0)
    monkeypatch.setattr(video, "WATCH_SECONDS", 0)


def with_alpha(file: Path, height: int = SIZE, width: int = SIZE) -> np.ndarray:
    """(N, H, W, 4) the pictures of a video; of VP9 ffmpeg's own decoder leaves alpha out."""
    decoder = ["-c:v", "libvpx-vp9"] if file.suffix == ".webm" else []
    raw = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *decoder, "-i", file, "-f", "rawvideo", "-pix_fmt",
                          "rgba", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 4).astype(int)


def cut_outs(count=4):
    """A bright disc that moves over nothing: (SIZE, SIZE, 4) uint8 each."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    for index in range(count):
        image = np.full((SIZE, SIZE, 4), (220, 120, 40, 0), np.uint8)
        image[..., 3] = np.clip(255 * (1.2 - np.hypot(columns - 20 - 2 * index, rows - 24) / 14), 0, 255)
        yield image


# what is chosen


@pytest.mark.parametrize("word, colour", [
    ("white", (1, 1, 1)), ("#20a040", (32 / 255, 160 / 255, 64 / 255)), ("rgb(255,0,0)", (1, 0, 0))])
def test_a_colour_is_a_background(word, colour):
    assert still_background(word, SIZE).flatten().tolist() == pytest.approx(colour)


@pytest.mark.parametrize("word, told", [
    ("whitish", "no background"), ("#12345", "no background"), ("#20a04080", "no background"),
    ("wall.png", "does not exist"), ("pictures/wall", "does not exist"), (Path("wall"), "does not exist")])
def test_what_is_neither_a_colour_nor_a_picture_says_so_in_one_line(word, told):
    with pytest.raises((ValueError, FileNotFoundError), match=told) as error:
        chosen_background(word, SIZE)
    assert "\n" not in str(error.value)


def test_a_file_called_like_a_colour_is_the_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8), (0, 0, 255)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "red")
    assert still_background("red", 4)[0, :, 0, 0].tolist() == [0, 0, 1]


@pytest.mark.parametrize("mode, colour, expected", [
    ("L", 51, 0.2), ("RGB", (51, 51, 51), 0.2), ("LA", (255, 0), 0.5), ("RGBA", (255, 255, 255, 0), 0.5),
    ("RGBA", (255, 255, 255, 255), 1), ("I;16", 257 * 51, 0.2), ("1", 1, 1)])
def test_a_picture_of_any_channels_is_a_background_and_alpha_lies_over_grey(mode, colour, expected, tmp_path):
    Image.new(mode, (9, 5), colour).save(tmp_path / "wall.png")
    read = read_background(tmp_path / "wall.png", (20, 30))
    assert read.shape == (1, 3, 20, 30)
    assert read.flatten().tolist() == pytest.approx([expected] * read.numel(), abs=0.003)


def test_no_picture_at_all_says_so(tmp_path):
    (tmp_path / "wall.png").write_text("nonsense")
    with pytest.raises(ValueError, match="can't be read as a picture"):
        read_background(tmp_path / "wall.png", 20)


def test_own_needs_a_camera_of_the_capture(run, small_capture, tmp_path):
    with pytest.raises(ValueError, match="--view that is a camera"):
        render(run, small_capture, tmp_path / "out.mp4", "orbit", "own")
    assert not (tmp_path / "out.mp4").exists()


def test_own_needs_somebody_who_knows_it(tmp_path):
    capture = make_posed_capture(tmp_path / "capture", masked=True)
    list(train(capture, tmp_path / "run", "static", config={"size": SIZE, "texture_size": 64}))
    assert not capture.backgrounds
    with pytest.raises(ValueError, match="Nobody knows what is behind the person before camera front"):
        render(Run.open(tmp_path / "run"), capture, tmp_path / "out.mp4", "front", "own")


# what is drawn


def test_the_own_background_is_the_window_that_the_person_is_seen_through(small_capture):
    avatar = StaticTexture.__new__(StaticTexture)
    torch.nn.Module.__init__(avatar)
    for view in (small_capture.views(crop="body", size=SIZE)[0], small_capture.views()[0]):
        behind = own_background(avatar, small_capture, view.camera_name[0], view.camera, view.size)
        empty = (view.mask < 0.001) & view.certain
        assert float(((behind - view.image).abs() * empty).sum() / empty.sum() / 3) < 0.02


def test_what_an_avatar_has_learned_comes_first_at_whatever_size(small_capture, monkeypatch):
    avatar = StaticTexture.__new__(StaticTexture)
    torch.nn.Module.__init__(avatar)
    left_half_red = torch.zeros(1, 3, 60, 40)
    left_half_red[:, 0, :, :20] = 1
    monkeypatch.setattr(StaticTexture, "background", lambda self, name: left_half_red)
    view = small_capture.views()[0]
    shown = own_background(avatar, small_capture, view.camera_name[0], view.camera, view.size)
    half = view.size[1] // 2
    assert float(shown[0, 0, :, :half - 3].min()) > 0.99 and not shown[0, 0, :, half + 3:].any()


def test_the_own_background_stands_behind_the_person(run, small_capture, short, tmp_path):
    render(run, small_capture, tmp_path / "own.png", "cam02", "own", frames=[0, 1])
    picture = read_image(tmp_path / "own.png")[:, :SIZE] / 255
    moments, scenes = video.staged(small_capture, "cam02", "cam02", SIZE, [0, 1])
    scene = next(scenes)
    truth = as_filmed(small_capture, "cam02", float(moments[0]), scene)[0].permute(1, 2, 0).numpy()
    beside = (run.avatar().draw(scene).mask[0, 0] == 0).numpy()
    far = beside & ~(np.abs(truth - picture).max(2) > 0.3)  # clothes reach beyond the mesh
    assert far.sum() > 0.9 * beside.sum()
    assert np.abs(truth - picture)[far].mean() < 0.02 and truth[far].std() > 0.05


def test_straight_colour_and_alpha_without_garbage_where_nothing_is():
    rgb, mask = torch.zeros(1, 3, 3, 5), torch.zeros(1, 1, 3, 5)
    rgb[0, :, :, 0] = torch.tensor([1.0, 0, 1])[:, None]  # garbage
    rgb[0, :, :, 2], mask[..., 2] = 0.4, 0.2
    rgb[0, :, :, 3], mask[..., 3] = 0.8, 1
    shown = cut_out(Rendering(rgb, mask))
    assert shown.shape == (3, 5, 4) and shown.dtype == np.uint8
    assert shown[1, :, 3].tolist() == [0, 0, 51, 255, 0]
    assert shown[1, 2, :3].tolist() == [102] * 3  # not multiplied by alpha
    assert (shown[:, [0, 1, 4], :3] == 204).all()


def test_nobody_to_be_seen_is_transparent_all_over():
    assert not cut_out(Rendering(torch.ones(1, 3, 4, 4), torch.zeros(1, 1, 4, 4)))[..., 3].any()


@pytest.mark.parametrize("name", ["out.webm", "out.mov", "out.png", "out", "new/frames.v1/"])
def test_a_transparent_person_comes_back_with_alpha(name, run, small_capture, short, tmp_path):
    render(run, small_capture, f"{tmp_path}/{name}", "cam02", "none", frames=[0, 1])
    render(run, small_capture, tmp_path / "grey.png", "cam02", frames=[0, 1])
    grey = read_image(tmp_path / "grey.png").astype(int)[:, :SIZE]
    out = tmp_path / name
    if out.suffix in (".webm", ".mov"):
        shown = with_alpha(out)
        assert len(shown) == 4
    elif out.suffix == ".png":
        shown = np.stack(np.split(imageio.imread(out).astype(int), 4, 1))
    else:
        assert sorted(file.name for file in out.iterdir()) == [f"{index:04d}.png" for index in range(4)]
        shown = np.stack([imageio.imread(file).astype(int) for file in sorted(out.iterdir())])
    assert shown.shape == (4, SIZE, SIZE, 4)
    alpha = shown[0, ..., 3:] / 255
    assert alpha.min() < 0.02 and alpha.max() > 0.98 and 0.02 < alpha.mean() < 0.6
    over = shown[0, ..., :3] * alpha + 128 * (1 - alpha)
    assert np.abs(over - grey).mean() < 3


def test_no_alpha_in_mp4_names_what_has_it(run, small_capture, tmp_path):
    for name in ("out.mp4", "out.jpg"):
        with pytest.raises(ValueError, match=r"\.webm \(VP9\) or \.mov") as error:
            render(run, small_capture, tmp_path / name, background="none")
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="overview"):
        render(run, small_capture, tmp_path / "out.webm", background="none", overview=True)
    assert not list(tmp_path.iterdir())


def test_transfers_and_pairs_take_the_same_words(tmp_path, pairs_run):
    capture = make_posed_capture(tmp_path / "capture", masked=True)
    list(train(capture, tmp_path / "run", "static", config={"size": SIZE, "texture_size": 64}))
    transfer(Run.open(tmp_path / "run"), tmp_path / "moved.png", capture, background="none")
    assert imageio.imread(tmp_path / "moved.png").shape[2] == 4
    run, pairs = pairs_run
    render_pairs(run, pairs, tmp_path / "pairs.png", background="none")
    assert imageio.imread(tmp_path / "pairs.png").shape[2] == 4
    render_pairs(run, pairs, tmp_path / "pairs.png", background="#20a040")
    assert imageio.imread(tmp_path / "pairs.png").shape[2] == 3
    for word, told in (("own", "Pairs of pictures"), ("whitish", "no background"),
                       ("a.png", "does not exist")):
        with pytest.raises((ValueError, FileNotFoundError), match=told):
            render_pairs(run, pairs, tmp_path / "other.mp4", background=word)


# what is written


@pytest.mark.parametrize("kind", [".webm", ".mov"])
def test_videos_keep_straight_colour_and_alpha(kind, tmp_path):
    write_video(tmp_path / f"out{kind}", cut_outs(), 25)
    came, sent = with_alpha(tmp_path / f"out{kind}"), np.stack(list(cut_outs())).astype(int)
    assert came.shape == sent.shape and np.abs(came - sent).max() < 12
    assert came[0, 0, 0, 3] < 3 and abs(came[0, 0, 0, 0] - 220) < 8  # never multiplied


@pytest.mark.parametrize("kind", [".webm", ".mov"])
def test_videos_of_all_kinds_can_be_without_alpha_and_odd(kind, tmp_path):
    write_video(tmp_path / f"out{kind}", (image[:31, :45, :3] for image in cut_outs()), 25)
    assert imageio.imread(tmp_path / f"out{kind}", plugin="FFMPEG").shape == (4, 32, 46, 3)


def test_a_folder_of_pictures_is_replaced_as_a_whole_and_never_one_of_other_things(tmp_path):
    write_folder(tmp_path / "out", cut_outs(4))
    write_folder(tmp_path / "out", cut_outs(2))
    assert [file.name for file in sorted((tmp_path / "out").iterdir())] == ["0000.png", "0001.png"]

    def failing():
        yield from cut_outs(1)
        raise ValueError("The avatar has gone.")

    with pytest.raises(ValueError, match="gone"):
        write_folder(tmp_path / "out", failing())
    assert len(list((tmp_path / "out").iterdir())) == 2 and len(list(tmp_path.iterdir())) == 1
    (tmp_path / "out" / "thesis.txt").write_text("")
    with pytest.raises(ValueError, match=r"holds thesis\.txt"):
        check_name(tmp_path / "out")
