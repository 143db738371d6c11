"""What readers find in a folder: a video is a video, whatever else its name hides."""

import numpy as np
import pytest

from anr_core.capture import sources
from anr_core.capture.sources import decoded, read_json, stated
from tests.small_sources import write_video


def test_a_video_says_its_rate_and_length(tmp_path):
    write_video(tmp_path / "a.mp4", "cam1", range(5))
    assert stated(tmp_path / "a.mp4")["fps"] == 10 and len(list(decoded(tmp_path / "a.mp4"))) == 5


@pytest.mark.parametrize("playlist", [
    "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{file}\n#EXT-X-ENDLIST\n",
    "ffconcat version 1.0\nfile '{file}'\n",
    "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n"])
def test_a_playlist_under_a_videos_name_opens_no_other_file(playlist, tmp_path):
    write_video(tmp_path / "private.mp4", "cam1", range(3))
    (tmp_path / "film.mp4").write_text(playlist.format(file=tmp_path / "private.mp4"))
    for read in (lambda file: list(decoded(file)), stated):
        with pytest.raises(ValueError, match=r"\A[^\n]*film.mp4 can't be read as a video [^\n]*\Z"):
            read(tmp_path / "film.mp4")


def test_json_beyond_any_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "LARGEST_JSON", 10**6)
    (tmp_path / "a.json").write_text("[" + "[]," * 400_000 + "1]")
    with pytest.raises(ValueError, match="a.json has 1 MB; JSON up to 1 MB is read"):
        read_json(tmp_path / "a.json")


def test_numbers_beyond_any_float_are_told(tmp_path):
    from anr_core.capture.readers.arrays import numbers

    with pytest.raises(ValueError, match="K is no array of numbers"):
        numbers([10**400, np.nan], (2,), "K")
