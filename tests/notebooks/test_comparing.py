"""What the cells that compare systems show of a comparison, without a kernel."""

import json

import pytest
from PIL import Image

from anr_core.evaluation.comparison import VERSION, costs_of, table_of
from anr_core.evaluation.reporting import protocols_of
from anr_core.metrics import FIGURES
from anr_core.notebook import comparison_figures, curves, runs_to_compare, side_by_side


@pytest.fixture
def made(tmp_path):
    """A comparison of two systems, of whose runs one is there."""
    entries = {}
    for system, psnr in (("static", 20.0), ("anr", 23.5)):
        figures = {"novel_view": {"inside": {system: dict.fromkeys(FIGURES) | {"psnr": psnr}}}}
        entries[system] = {"0": {"evaluate": {"figures": figures}}}
    found = {"version": VERSION, "command": "python -m benchmarks.compare A B", "date": "2026-11-28",
             "machine": {"cpu": "a processor", "cores": 2, "gpu": None}, "seeds": [0],
             "protocols": protocols_of(figures), "capture": {"judged": {"novel_view": 3}},
             "entries": entries, "table": table_of(entries), "costs": costs_of(entries)}
    (tmp_path / "compare.json").write_text(json.dumps(found))
    (tmp_path / "anr-0" / "run").mkdir(parents=True)
    (tmp_path / "anr-0" / "run" / "checkpoint.safetensors").touch()
    return tmp_path


@pytest.fixture
def told(monkeypatch):
    found = []
    monkeypatch.setattr("IPython.display.display", lambda shown: found.append(shown.data))
    return found


def test_runs_of_a_comparison_are_those_that_are_there_and_asked_for(made, capsys):
    assert runs_to_compare("none", "static, anr", comparison=made) == {"anr": made / "anr-0" / "run"}
    assert "python -m benchmarks.compare A B" in capsys.readouterr().out
    with pytest.raises(ValueError, match="no run of smplpix yet"):
        runs_to_compare("none", "smplpix", comparison=made)


def test_a_table_of_a_comparison_tells_its_protocol_and_the_best(made, told):
    comparison_figures({}, "inside", made)
    assert "<td><b>anr</b></td><td><b>23.50</b></td>" in told[0] and "<td>20.00</td>" in told[0]
    for words in ("<b>inside</b>, version 1", "background: none", "novel_view, 3 pictures", "LPIPS: none"):
        assert words in told[0]
    with pytest.raises(ValueError, match="has no figures of whole; it has inside"):
        comparison_figures({}, "whole", made)


def test_pictures_and_curves_are_shown_or_it_says_what_makes_them(made, told, capsys):
    for show, file in ((lambda: side_by_side({}, made), "pictures.jpg"),
                       (lambda: curves("a", made), "curves.png")):
        with pytest.raises(FileNotFoundError, match=f"no {file} yet"):
            show()
        Image.new("RGB", (8, 8)).save(made / file)
        show()
    assert len(told) == 2
    curves("captures/mine")
    assert "python -m benchmarks.compare captures/mine" in capsys.readouterr().out
