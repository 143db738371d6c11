"""Views: batches of pictures and what is known of them."""

import pytest
import torch

from anr_core.capture import View


def test_views_of_one_size_become_a_batch_in_order(small_capture):
    views = small_capture.views(crop="body", size=32)
    batch = View.cat([views[0], views[7], views[-1]])
    assert len(batch) == len(batch.camera) == 3 and batch.size == (32, 32)
    assert batch.camera_name == ["cam01", "cam02", "cam03"]
    assert batch.frame.tolist() == [0, 2, 4] == batch.pose.frame.tolist()
    torch.testing.assert_close(batch.image[1], views[7].image[0])
    torch.testing.assert_close(batch.camera.K[2], views[-1].camera.K[0])


def test_views_of_different_sizes_are_refused(small_capture):
    views = [small_capture.views(crop="body", size=size)[0] for size in (32, 48)]
    with pytest.raises(ValueError, match="2 sizes"):
        View.cat(views)


def test_a_view_moves_with_all_that_it_holds(small_capture):
    moved = small_capture.views(crop="body", size=16)[0].to("meta")
    assert {moved.image.device.type, moved.camera.K.device.type, moved.pose.frame.device.type,
            moved.frame.device.type} == {"meta"}
    assert moved.camera_name == ["cam01"]
