"""The button that hands an avatar on, pressed without a kernel."""

import json

import pytest

from anr_core.notebook import exported
from anr_core.training import train


@pytest.fixture(scope="module")
def run(small_capture, tmp_path_factory):
    folder = tmp_path_factory.mktemp("handing") / "run"
    list(train(small_capture, folder, "static", config={"size": 48, "texture_size": 32}))
    return folder


def test_the_button_writes_the_page_and_says_how_large_it_is(run, tmp_path, capsys):
    button, _ = exported(run, tmp_path / "me.html").children
    assert not (tmp_path / "me.html").exists()
    button.click()
    assert (tmp_path / "me.html").is_file() and "MB; plays" in capsys.readouterr().out
    assert not button.disabled


def test_what_cannot_be_exported_is_one_line_below_the_button(run, tmp_path, capsys):
    settings = json.loads((run / "config.json").read_text())
    settings["config"]["preset"] = "nobody's"
    broken = tmp_path / "run"
    broken.mkdir()
    (broken / "config.json").write_text(json.dumps(settings))
    for folder, out in ((run, "me.txt"), (broken, "me.html"), (tmp_path / "nothing", "me.html")):
        button, _ = exported(folder, tmp_path / out).children
        button.click()
        assert capsys.readouterr().out.strip().count("\n") == 0 and not (tmp_path / out).exists()
