"""Pictures are read as they are to be seen, and no format that a camera doesn't write is opened."""

import numpy as np
import pytest
from PIL import ExifTags, Image

from anr_core.capture.pictures import picture_size, read_image


@pytest.mark.parametrize(("orientation", "size"), [(1, (8, 12)), (3, (8, 12)), (6, (12, 8)), (8, (12, 8))])
def test_a_phones_picture_stands_as_it_was_held(orientation, size, tmp_path):
    picture = Image.fromarray(np.repeat(np.arange(0, 240, 20, np.uint8)[None, :, None], 8, 0).repeat(3, 2))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    picture.save(tmp_path / "a.jpg", exif=exif, quality=100)
    seen = read_image(tmp_path / "a.jpg")
    assert seen.shape[:2] == size == picture_size(tmp_path / "a.jpg")
    stored = np.array(picture)
    upright = {1: stored, 3: stored[::-1, ::-1], 6: np.rot90(stored, -1), 8: np.rot90(stored)}[orientation]
    assert np.abs(seen.astype(int) - upright).max() < 3


def test_other_formats_under_a_pictures_name_are_not_opened(tmp_path):
    for kind in ("EPS", "TIFF", "ICO"):
        Image.new("RGB", (16, 16)).save(tmp_path / "a.png", kind)
        for read in (read_image, picture_size):
            with pytest.raises(ValueError, match="a.png can't be read as a picture"):
                read(tmp_path / "a.png")
