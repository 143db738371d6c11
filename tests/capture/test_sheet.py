import numpy as np

from anr_core.capture.sheet import HEAD, HEIGHT, OUTLINE, contact_sheet


def test_cameras_lie_below_and_frames_beside_each_other(small_capture):
    sheet = contact_sheet(small_capture, cameras=3, moments=2)
    height, width = small_capture.cameras["cam01"].size
    assert sheet.shape == (3 * (HEIGHT + HEAD), 2 * round(HEIGHT * width / height), 3)


def test_one_frame_a_camera_fills_the_rows_in_order(small_capture):
    seen = small_capture.only(lambda shot: (shot.camera, shot.frame) in
                              {("cam01", 0), ("cam02", 2), ("cam03", 4)})
    assert contact_sheet(seen, moments=2).shape[0] == 2 * (HEIGHT + HEAD)


def test_the_outline_is_drawn_around_the_person(small_capture):
    sheet = contact_sheet(small_capture.only(lambda shot: shot.frame == 0), cameras=1)
    rows, columns = np.nonzero((sheet == OUTLINE).all(-1))
    height, width = sheet.shape[:2]
    assert len(rows) > HEIGHT / 2  # it goes up and down
    assert abs(columns.mean() - width / 2) < width / 4
