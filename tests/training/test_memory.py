"""What is said of a GPU whose memory is too small; there is none here, so it is made up."""

import pytest
import torch

from anr_core.training import loop, train
from anr_core.training.memory import GIB, Trial, fitting, of_memory
from anr_core.training.objective import Objective

TINY = {"size": 64, "window": 64, "batch": 8, "texture_size": 64, "width": 4}


def test_what_fits_is_what_room_divided_by_a_picture_is():
    # 0.9 x 10 - 1 = 8 GiB of room; a picture of 320 takes 2: four of them, or eight of 320 / sqrt(2) = 226
    trial = Trial(window=320, held=GIB, picture=2 * GIB)
    assert fitting(10 * GIB, trial, batch=8, window=320) == (4, 224)


def test_a_trial_in_smaller_windows_tells_of_larger_ones():
    # a quarter of the pixels takes a quarter of the memory: as above
    trial = Trial(window=160, held=GIB, picture=GIB // 2)
    assert fitting(10 * GIB, trial, batch=8, window=320) == (4, 224)


def test_what_fits_is_never_more_than_was_asked_for():
    assert fitting(100 * GIB, Trial(320, GIB, GIB), batch=8, window=320) == (8, 320)


def test_where_not_even_weights_fit_nothing_does():
    assert fitting(GIB, Trial(320, GIB, GIB), batch=8, window=320) == (0, 0)


@pytest.mark.parametrize("trial, what, told", [
    (Trial(320, GIB, 2 * GIB), "320x320 pixels",
     '8 pictures of 320x320 pixels don\'t fit into 10.0 GiB.*{"batch": 4} or {"window": 224} would fit'),
    (Trial(320, GIB, 2 * GIB), "1024 rays", '8 pictures of 1024 rays.*{"batch": 4} would fit'),
    (Trial(320, GIB, 16 * GIB), "320x320 pixels", r'kept. {"window": 80} would fit'),
    (None, "320x320 pixels", "Not even one would fit.*smaller --preset"),
])
def test_it_says_what_would_fit_in_one_line(trial, what, told):
    with pytest.raises(ValueError, match=told) as error:
        raise of_memory(7, 10 * GIB, trial, 8, 320, what)
    assert "\n" not in str(error.value) and "checkpoint is kept" in str(error.value)


def test_a_step_that_does_not_fit_is_tried_with_one_picture_and_what_was_saved_stays(small_capture, tmp_path,
                                                                                     monkeypatch):
    """A made-up GPU of 4 GiB, on which 1 is taken and every picture of 64x64 takes another."""
    drawn, forward = [], Objective.forward

    def filling(objective, person, batch):
        def counted(avatar):
            view, posed = batch(avatar)
            drawn.append(len(view) * view.size[0] ** 2 / 64**2 * GIB)
            if drawn[-1] > 3 * GIB and len(drawn) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
            return view, posed
        return forward(objective, person, counted)

    for name, value in (("mem_get_info", lambda: (3 * GIB, 4 * GIB)), ("memory_reserved", lambda: GIB),
                        ("reset_peak_memory_stats", lambda: None), ("memory_allocated", lambda: GIB),
                        ("max_memory_allocated", lambda: GIB + drawn[-1])):
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(Objective, "forward", filling)
    monkeypatch.setattr(loop, "SAVES", 0)
    # 0.9 x 4 - 1 = 2.6 GiB of room: two pictures of 64x64, or eight of 64 sqrt(2.6 / 8) = 36
    with pytest.raises(ValueError, match=r'step 3: 8 pict.*64x64.*{"batch": 2} or {"window": 32} would'):
        list(train(small_capture, tmp_path / "run", "deferred", steps=5, config=TINY))
    assert torch.load(tmp_path / "run/training.pt")["step"] == 2
