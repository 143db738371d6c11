"""Neural Body's published protocol: by hand on tiny pictures, and on small captures in ZJU-MoCap's layout."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from anr_core import evaluation, metrics
from anr_core.avatars.base import Rendering
from anr_core.avatars.run import Run
from anr_core.camera import look_at
from anr_core.capture.readers import zju
from anr_core.evaluation import published
from anr_core.evaluation.judging import as_plane, truth_of
from anr_core.evaluation.pictures import Framed, WholePictures, crop_around, silhouette
from anr_core.evaluation.reporting import table
from anr_core.prepare import prepare
from anr_core.training import train
from tests.capture.readers.small_datasets import make_zju


def truth_of_box(value, boxed, certain=None):
    """A flat grey picture whose mask is full, so that nothing of it is doubtful but what is said."""
    boxed = np.array(boxed, bool)
    everywhere = np.ones_like(boxed)
    image = np.full((*boxed.shape, 3), value, np.float32)
    return metrics.Truth(image, everywhere.astype(np.float32), everywhere if certain is None else certain,
                         everywhere, boxed, image)


# figures


def test_psnr_is_over_the_box_or_over_all_with_black_around_it():
    """Off by 0.1 in 2 of 8 pixels, by 0.5 in those outside of the box, which nobody asks about."""
    truth = truth_of_box(0.5, [[0, 1, 1, 0], [0, 0, 0, 0]])
    rgb = np.where(truth.boxed[..., None], 0.6, 1.0).astype(np.float32).repeat(3, -1)
    mask = np.ones((2, 4), np.float32)
    in_mask = metrics.published(truth, rgb, mask).figures()["psnr"]
    whole = metrics.published_whole(truth, rgb, mask).figures()["psnr"]
    assert in_mask == pytest.approx(20, abs=1e-4)  # 0.1^2
    assert whole == pytest.approx(20 + 10 * np.log10(4), abs=1e-4)  # a quarter of it


@pytest.mark.parametrize("protocol", ["neuralbody", "published"])
def test_both_ssims_of_flat_greys_are_as_by_hand(protocol):
    """Without variance a window's is (2ab + c) / (a^2 + b^2 + c), c = (range / 100)^2; a = 0.02, b = 0.04."""
    truth = truth_of_box(0.02, np.ones((9, 8)))
    rgb, mask = np.full((9, 8, 3), 0.04, np.float32), np.ones((9, 8), np.float32)
    judge = metrics.OF_WHOLE_PICTURES | metrics.PROTOCOLS
    figures = judge[protocol](truth, rgb, mask).figures()
    assert figures["ssim"] == pytest.approx(0.0020 / 0.0024, abs=1e-6)
    assert figures["ssim_range_1"] == pytest.approx(0.0017 / 0.0021, abs=1e-6)


def test_a_prediction_stands_over_black_by_its_own_mask():
    truth = truth_of_box(0.3, [[1, 1]])
    rgb, mask = np.full((1, 2, 3), 0.6, np.float32), np.full((1, 2), 0.5, np.float32)
    assert metrics.published(truth, rgb, mask).figures()["psnr"] == metrics.PSNR_CAP


def test_the_rectangle_is_cropped_in_mask_and_not_in_the_whole_image():
    boxed = np.zeros((20, 20))
    boxed[3:12, 5:14] = 1
    truth, mask = truth_of_box(0.02, boxed), np.ones((20, 20), np.float32)
    rgb = np.full((20, 20, 3), 0.04, np.float32)
    in_mask = metrics.published(truth, rgb, mask).figures()["ssim"]
    assert in_mask == pytest.approx(0.0020 / 0.0024, abs=1e-6)
    assert in_mask < metrics.published_whole(truth, rgb, mask).figures()["ssim"] < 1


def test_uncertain_pixels_count_as_published_and_not_in_neuralbody():
    certain = np.array([[True, False]])
    truth, mask = truth_of_box(0.5, [[1, 1]], certain), np.ones((1, 2), np.float32)
    rgb = np.array([[[0.5] * 3, [0.6] * 3]], np.float32)
    half = 20 + 10 * np.log10(2)
    assert metrics.published(truth, rgb, mask).figures()["psnr"] == pytest.approx(half, abs=1e-4)
    assert metrics.neuralbody(truth, rgb, mask).figures()["psnr"] == metrics.PSNR_CAP


def test_ssim_at_range_1_has_a_column_only_where_a_protocol_has_it():
    blank = dict.fromkeys(metrics.FIGURES)
    figures = {"whole": {"mean": blank}, "neuralbody": {"mean": blank | {"ssim_range_1": 0.5}}}
    without, beside = table("title", figures, metrics.PROTOCOLS).split("neuralbody:")
    assert "ssim_range_1" not in without and "lpips" in without
    assert "ssim_range_1" in beside and "0.500" in beside
    assert metrics.whole(truth_of_box(0.5, [[1]]), np.ones((1, 1, 3)), np.ones((1, 1))).figures()[
        "ssim_range_1"] is None


# pictures


def test_the_truth_is_black_outside_of_the_mask_grown_by_two_pixels_of_1024():
    mask = np.zeros((1024, 8), np.float32)
    mask[512, 3] = 1  # grown: rows 510 to 514, columns 1 to 5, of which every second is taken
    rows, columns = np.nonzero(silhouette(mask, (512, 4)))
    assert sorted(set(rows)) == [255, 256, 257] and sorted(set(columns)) == [1, 2] and len(rows) == 6
    assert silhouette(mask[500:524], (24, 8)).sum() == 1  # a small picture's outline is not widened


@pytest.mark.parametrize("taken, size, shown", [
    ((1024, 1024), None, (512, 512)), ((1000, 500), None, (512, 256)), ((96, 64), None, (96, 64)),
    ((1024, 512), 256, (256, 128))])
def test_the_longer_side_is_512_or_as_asked_or_a_smaller_pictures_own(small_capture, taken, size, shown):
    cameras = {name: replace(camera, size=taken) for name, camera in small_capture.cameras.items()}
    assert WholePictures(replace(small_capture, cameras=cameras), size).sizes == [shown]


def test_the_box_is_padded_along_the_upright_axis_alone(small_capture):
    lying = replace(small_capture, up=torch.tensor([0.0, -0.99, 0.1]))
    assert WholePictures(small_capture, None).padding == (0, 0, 0.05)
    assert WholePictures(lying, None).padding == (0, 0.05, 0)


def test_a_whole_picture_shows_the_person_on_black_and_keeps_its_mask(small_capture):
    pictures = WholePictures(small_capture, None)
    view, taken = pictures[0], small_capture.views()[0]
    assert view.size == taken.size
    person = taken.mask[0, 0] > 0.5
    assert torch.equal(view.image[0][:, person], taken.image[0][:, person])
    assert (view.image[0][:, ~person] == 0).all() and (taken.image[0][:, ~person] > 0).any()
    assert torch.equal(view.mask, taken.mask)


class Shows:
    """Draws of each pixel the direction of its ray, as a colour."""

    def draw(self, view, posed):
        rays = view.camera.rays(pixel_grid(view.size))[1].view(1, *view.size, 3).permute(0, 3, 1, 2)
        return {"rays": Rendering(rays, torch.ones_like(rays[:, :1]))}


def pixel_grid(size):
    rows, columns = torch.meshgrid(*(torch.arange(n) + 0.5 for n in size), indexing="ij")
    return torch.stack([columns, rows], -1).reshape(1, -1, 2)


@pytest.mark.parametrize("aside", [0.0, 0.9])  # in the picture's middle, and cut by its edge
def test_a_crop_is_laid_where_it_was_taken_from(small_capture, aside):
    K = torch.tensor([[[120.0, 0, 48], [0, 120, 64], [0, 0, 1]]])
    eye = look_at(torch.tensor([[0.0, -4, 1]]), torch.tensor([[aside, 0.0, 1]]), (0, 0, 1), K, (128, 96))
    pictures = WholePictures(small_capture, None)
    view = replace(pictures[0], camera=eye, image=torch.zeros(1, 3, 128, 96), mask=torch.zeros(1, 1, 128, 96),
                   certain=torch.ones(1, 1, 128, 96, dtype=torch.bool), keypoints=None)
    posed = small_capture.body(view.pose)
    left, top, side = crop_around(view, posed)
    assert (left < 0) == bool(aside)
    laid, whole = Framed(Shows()).draw(view, posed)["rays"], Shows().draw(view, posed)["rays"]
    there = as_plane(laid.mask) > 0
    expected = np.zeros((128, 96), bool)
    expected[max(top, 0):top + side, max(left, 0):left + side] = True
    np.testing.assert_array_equal(there, expected)
    torch.testing.assert_close(laid.rgb[0][:, there], whole.rgb[0][:, there], atol=1e-5, rtol=0)
    assert (laid.rgb[0][:, ~there] == 0).all()


@pytest.fixture(scope="module")
def static_run(small_capture, tmp_path_factory):
    run = tmp_path_factory.mktemp("published") / "run"
    list(train(small_capture, run, "static", steps=1, cameras=["cam01"], frames=[0, 2],
               config={"size": 200, "texture_size": 64}))  # both sizes below are drawn as they are
    return run


def test_a_static_texture_is_drawn_alike_as_a_crop_and_at_once(static_run, small_capture):
    run = Run.open(static_run)
    static, mean = run.static()
    contestants = evaluation.Contestants("static", run.avatar(), static, mean, frozenset())
    view = WholePictures(small_capture, None)[1]
    posed = small_capture.body(view.pose)
    crop, once = (draws.draw(view, posed)["static"].over(0) for draws in (Framed(contestants), contestants))
    assert (once > 0).any()
    torch.testing.assert_close(crop, once, atol=2e-3, rtol=0)


def test_whole_pictures_are_judged_in_the_box_that_is_padded_upright(static_run, small_capture, monkeypatch):
    asked = []
    monkeypatch.setattr(evaluation, "measure", lambda *given: asked.append(given[3]) or iter(()))
    monkeypatch.setattr(evaluation, "average", lambda figures: {})
    run = Run.open(static_run)
    contestants = evaluation.Contestants("static", run.avatar(), *run.static(), frozenset())
    for judge, padding in ((evaluation.evaluate_published, (0, 0, 0.05)),
                           (lambda *given: evaluation.evaluate_capture(*given, 96), (0.05, 0.05, 0.05))):
        asked.clear()
        judge(contestants, run.trained, small_capture)
        assert asked and set(asked) == {padding}


def test_any_capture_is_judged_by_it_without_published_figures_beside(static_run, tmp_path, capsys):
    results = evaluation.evaluate(static_run, protocol="published", json=tmp_path / "figures.json")
    told = capsys.readouterr().out
    assert json.loads((tmp_path / "figures.json").read_text()) == results
    assert list(results["novel_view"]) == ["published", "published_whole"]
    in_mask, whole = (results["novel_view"][name]["static"] for name in ("published", "published_whole"))
    assert tuple(in_mask) == metrics.FIGURES and 0 < in_mask["ssim_range_1"] < in_mask["ssim"]
    assert whole["psnr"] > in_mask["psnr"] + 3  # the empty background counts as drawn well
    assert "whole pictures at" in told and "along the upright axis alone" in told and "ZJU-MoCap" not in told
    assert (static_run / "evaluation" / "novel_view.png").is_file()


# what is published


def test_averages_over_subjects_are_those_published():
    published_averages = {
        ("novel_view", "published"): {"Neural Body": (28.10, 0.944), "NHR": (23.87, 0.893),
                                      "DNR": (23.77, 0.896), "NV": (21.39, 0.821)},
        ("novel_both", "published"): {"Neural Body": (23.49, 0.885), "NHR": (22.22, 0.872),
                                      "DNR": (22.16, 0.872)},
        ("novel_view", "published_whole"): {"Neural Body": (34.15, 0.982)},
        ("novel_both", "published_whole"): {"Neural Body": (29.54, 0.966)}}
    expected = {(*key, method): pair for key, methods in published_averages.items()
                for method, pair in methods.items()}
    assert set(expected) == set(published.FIGURES)
    for key, (psnr, ssim) in published.FIGURES.items():
        assert len(psnr) == len(ssim) == len(published.SUBJECTS)
        assert np.mean(psnr) == pytest.approx(expected[key][0], abs=0.011)
        assert np.mean(ssim) == pytest.approx(expected[key][1], abs=0.0011)


def test_frames_are_those_that_the_reader_holds_out():
    assert tuple(zju.PUBLISHED) == published.SUBJECTS
    for row, ranges in enumerate(zju.PUBLISHED.values()):
        counts = [end - start for start, end in ranges]
        assert counts == [published.FRAMES[split][row] for split in ("novel_view", "novel_both")]
    assert zju.EVERY == published.EVERY and len(zju.TRAINING_VIEWS) == published.CAMERAS


@pytest.fixture(scope="module")
def subject_run(tmp_path_factory):
    """A run of a made-up subject 377: camera 0 in frames 0 and 1; camera 1 and frame 300 are held out."""
    folder = tmp_path_factory.mktemp("zju")
    make_zju(folder / "CoreView_377", numbers=(0, 1, 300))
    capture = prepare(folder / "CoreView_377", folder / "capture")
    list(train(capture, folder / "run", "static", steps=1, config={"size": 96, "texture_size": 64}))
    return folder / "run"


def test_published_figures_stand_beside_ours_for_their_subject(subject_run, capsys):
    results = evaluation.evaluate(subject_run, protocol="published")
    told = " ".join(capsys.readouterr().out.split())
    assert list(results) == ["novel_view", "novel_pose", "novel_both"]
    views, poses = told.split("published for ZJU-MoCap 377, ")[1:]
    assert views.startswith("novel views") and poses.startswith("novel poses")
    assert "Neural Body 27.64 0.951 33.86 0.985" in views and "DNR 23.74 0.917 n/a n/a" in views
    assert "NV 21.15 0.842 n/a n/a" in views and "NV" not in poses
    assert "Neural Body 23.91 0.909 30.60 0.977" in poses and "NHR 21.94 0.885" in poses
    for told_of, split in ((views, "novel_view"), (poses, "novel_both")):
        ours = [results[split][name]["static"] for name in ("published", "published_whole")]
        cells = " ".join(f"{of['psnr']:.2f} {of['ssim']:.3f}" for of in ours)
        assert f"ours: static {cells}" in told_of
    assert "trained on 1 cameras and 2 frames, the published on 4 and 300" in views
    assert "judged on 1 cameras and 1 frames, the published on all but 4 and 10" in views
    assert "on all but 4 and 11" in poses and "200 000 steps" in poses
    assert "our pictures are 64x96 pixels, not 512x512" in views


@pytest.mark.parametrize("change", [{"person": "CoreView_900"}, {"person": "CoreView_395"},
                                    {"format": "easymocap"}])
def test_published_figures_stand_beside_nobody_else(subject_run, change):
    capture = Run.open(subject_run).capture()
    shots = [shot for shot in capture.shots if shot.split == "novel_view"]
    assert published.published_for(capture, "novel_view", shots).subject == "377"
    assert published.published_for(replace(capture, **change), "novel_view", shots) is None


def test_published_figures_stand_beside_published_views_alone(subject_run):
    capture = Run.open(subject_run).capture()
    assert published.published_for(capture, "novel_view", capture.shots) is None
    there = [shot for shot in capture.shots if shot.split == "novel_pose"]
    assert there and published.published_for(capture, "novel_pose", there) is None


def test_other_protocols_print_no_published_figures(subject_run, capsys):
    evaluation.evaluate(subject_run, protocol="neuralbody")
    assert "published for ZJU-MoCap" not in capsys.readouterr().out


def test_the_published_box_is_smaller_than_neuralbodys(small_capture):
    pictures = WholePictures(small_capture, None)
    view = pictures[0]
    posed = small_capture.body(view.pose)
    ours, theirs = truth_of(view, posed).boxed, truth_of(view, posed, pictures.padding).boxed
    assert theirs.sum() < ours.sum() and not (theirs & ~ours).any()
