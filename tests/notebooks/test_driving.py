"""What the cells about dynamic textures say where there is nothing to show."""

import pytest

from anr_core.notebook import compared, mover, paged, replaced, uncovered
from anr_core.prepare import studio
from anr_core.training import train
from tests.posed_capture import make_posed_capture


@pytest.fixture(scope="module")
def unwrapped(tmp_path_factory):
    """A run that has no keypoints to be drawn out of."""
    folder = tmp_path_factory.mktemp("unwrapped")
    capture = make_posed_capture(folder / "capture", masked=True)
    list(train(capture, folder / "run", "static", config={"size": 32, "texture_size": 32}))
    return folder / "run"


@pytest.mark.parametrize("cell, given", [(compared, ()), (uncovered, ()), (replaced, ("json", "own"))])
def test_a_run_of_another_system_is_one_line(cell, given, unwrapped):
    with pytest.raises(ValueError, match="is a static run, and this shows what a dynamic texture"):
        cell(unwrapped, *given)


def test_without_a_page_one_is_told_to_train(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no page. Train it first"):
        paged(tmp_path / "run")


def test_a_page_is_shown_of_any_system(unwrapped, monkeypatch):
    told = []
    monkeypatch.setattr("IPython.display.display", lambda shown: told.append(shown.data))
    paged(unwrapped)
    assert "index.html</a>" in told[0] and told[0].count("<figure") == told[0].count("data:image/jpeg") >= 8


def test_who_drives_is_taken_as_they_are_and_drawn_only_where_nobody_is(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(studio, "studio_capture", lambda *given, **film: drawn.append((given, film)))
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "0_keypoints.json").write_text("{}")
    assert mover(tmp_path / "json") == tmp_path / "json" and not drawn
    assert mover(tmp_path / "nobody", 3, frames=4) == tmp_path / "nobody"
    assert drawn == [((tmp_path / "nobody", 3), {"frames": 4})]
