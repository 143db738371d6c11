"""Each notebook: its pair, its form, and that it runs from top to bottom with small parameters."""

import ast
import re
from pathlib import Path

import jupytext
import nbformat
import pytest
import torch
from nbclient.exceptions import CellExecutionError

from anr_core.capture import load_capture
from anr_core.notebook import REPOSITORY, filmed
from anr_core.training import train
from notebooks.pairing import paired, sources
from tests.motion.flat import film
from tests.motion.test_flat_motion import write
from tests.notebooks.headless import kinds, notebook, run, said

TINY = {"size": 48, "window": 32, "batch": 1, "texture_size": 64, "width": 4}
VOLUME = {"size": 48, "batch": 1, "texture_size": 64, "width": 4, "hidden": 16, "latent": 8, "voxel": 0.06,
          "samples": 16, "rays": 64, "rate": 0.02, "mask": 2.0}
DYNAMIC = {"size": 64, "window": 64, "batch": 2, "texture_size": 64, "width": 4, "levels": 2, "features": 4,
           "generator_width": 4, "generator_depth": 1, "chart_size": 16, "made_up": 1}
FILM = {"cameras": 3, "frames": 3, "size": 48, "fps": 1.0}
NAMES = [source.stem for source in sources()]
SHORT = 0.02  # minutes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all of them, as a user has it: what one notebook makes the next one takes."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.mark.parametrize("source", sources(), ids=NAMES)
def test_each_notebook_is_what_its_source_makes(source):
    assert source.with_suffix(".ipynb").read_text(encoding="utf-8") == paired(source), \
        "make notebooks"


@pytest.mark.parametrize("source", sources(), ids=NAMES)
def test_each_notebook_has_a_badge_a_set_up_and_one_cell_of_plain_parameters(source):
    cells = jupytext.read(source).cells
    assert f"colab.research.google.com/github/{REPOSITORY}/blob/main/notebooks/{source.stem}.ipynb" \
        in cells[0].source
    parameters = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(parameters) == 1
    for line in ast.parse(parameters[0].source).body:
        ast.literal_eval(line.value)  # a form's values are literals
    setups = {jupytext.read(other).cells[2].source for other in sources()}
    assert len(setups) == 1 and "set_up()" in setups.pop()


@pytest.mark.parametrize("source", sources(), ids=NAMES)
def test_code_stands_under_a_sentence_and_stays_short(source):
    cells = jupytext.read(source).cells
    for before, cell in zip(cells, cells[1:], strict=False):
        if cell.cell_type == "code":
            assert before.cell_type == "markdown" or "parameters" in \
                before.metadata.get("tags", []) + cell.metadata.get("tags", [])
            assert len(cell.source.splitlines()) <= 24


def test_the_address_is_one():
    root = Path(__file__).parents[2]
    files = [root / "README.md", root / "pyproject.toml", *sources()]
    found = {match for file in files
             for match in re.findall(r"(?:github\.com|githubusercontent\.com|github)/([\w.-]+/anr_core)",
                                     file.read_text(encoding="utf-8"))}
    assert found == {REPOSITORY}


def test_quickstart_runs_to_its_panel(folder):
    made = run(notebook("00_quickstart", FOLDER=str(folder), FILM=FILM, MINUTES=SHORT, CONFIG=TINY))
    assert "Python 3" in said(made)
    assert kinds(made).count("image/png") == 1
    assert "application/vnd.jupyter.widget-view+json" in kinds(made)[-2:]


def test_data_runs_to_a_capture(folder, small_source):
    capture = folder / "captures" / "mine"
    made = run(notebook("01_data", SOURCE=str(small_source), CAPTURE=str(capture)))
    assert "format registered" in said(made)
    assert kinds(made).count("image/png") == 2
    assert (capture / "capture.json").is_file()


def test_data_draws_a_person_whom_nobody_filmed(folder):
    made = run(notebook("01_data", CAPTURE=str(folder / "captures" / "drawn"), STUDIO=FILM))
    assert kinds(made).count("image/png") == 2


def test_train_runs_to_its_figures(folder):
    places = {"CAPTURE": str(folder / "captures" / "subject0"), "RUN": str(folder / "runs" / "mine")}
    made = run(notebook("02_train", **places, MINUTES=SHORT, CONFIG=TINY))
    assert "PSNR (dB)" in said(made) and "<b>anr</b>" in said(made)
    assert kinds(made).count("image/png") == 3  # a picture a split


def test_train_of_a_film_of_which_nothing_is_held_out_runs_to_its_end_too(folder, small_capture):
    places = {"CAPTURE": str(small_capture.path), "MINUTES": SHORT, "CONFIG": TINY}
    made = run(notebook("02_train", RUN=str(folder / "runs" / "all"), **places))
    assert "none is left to judge it by" in said(made)
    assert kinds(made).count("image/jpeg") == 1
    held = run(notebook("02_train", RUN=str(folder / "runs" / "held"), HOLD_OUT="one camera", **places))
    assert "<td>novel_view</td>" in said(held)


def test_interact_opens_a_run_and_trains_one_where_there_is_none(folder):
    for name, trains in (("subject0", False), ("other", True)):
        places = {"CAPTURE": str(folder / "captures" / "subject0"), "RUN": str(folder / "runs" / name)}
        made = run(notebook("03_interact", **places, MINUTES=SHORT, CONFIG=TINY))
        assert ("is not there" in said(made)) == trains
        assert "application/vnd.jupyter.widget-view+json" in kinds(made)[-2:]


def test_compare_shows_every_system(folder):
    places = {"CAPTURE": str(folder / "captures" / "subject0"), "RUNS": str(folder / "runs")}
    made = run(notebook("04_compare", **places, MINUTES=SHORT, CONFIG=TINY))
    assert all(f"<b>{name}</b>" in said(made) for name in ("static", "deferred", "smplpix", "anr"))
    assert kinds(made).count("image/jpeg") == 1  # the same views by each
    assert "Protocol <b>neuralbody</b>, version 1" in said(made) and "--curves" in said(made)
    assert "application/vnd.jupyter.widget-view+json" in kinds(made)[-2:]


def test_pictures_runs_from_a_film_to_painted_and_paired_pictures(folder):
    places = {"CAPTURE": str(folder / "captures" / "subject0"), "RUN": str(folder / "runs" / "pictures")}
    made = run(notebook("05_pictures", **places, MINUTES=SHORT, PAINTED_FRAMES="0, 1", PAINTED_MINUTES=SHORT,
                        PAIRS_MINUTES=SHORT, CONFIG=TINY))
    assert "PSNR (dB)" in said(made) and "<b>input</b>" in said(made)
    videos = [output for cell in made.cells for output in cell.get("outputs", [])
              if "<video" in output.get("data", {}).get("text/html", "")]
    assert len(videos) >= 5
    assert sorted(path.name for path in (folder / "captures").glob("subject0-*")) == \
        ["subject0-mesh-and-person", "subject0-painted", "subject0-pairs"]


def test_gaussians_runs_from_shapes_to_another_persons_looks(folder):
    captures = folder / "captures"
    made = run(notebook("06_gaussians", CAPTURE=str(captures / "subject0"), OTHER=str(captures / "subject1"),
                        RUN=str(folder / "runs" / "gaussian"), MINUTES=SHORT, LIFT_MINUTES=SHORT,
                        BOTH_MINUTES=SHORT, FILM=FILM, CONFIG=TINY))
    assert "frames lifted" in said(made) and "MPJPE / N-MPJPE / P-MPJPE" in said(made)
    assert said(made).count("<video") == 3
    assert kinds(made).count("application/vnd.jupyter.widget-view+json") >= 5  # shapes, trainings, the panel
    assert (folder / "runs" / "gaussian-both" / "as-subject0.mp4").is_file()


def test_volumes_runs_from_a_fog_to_a_mesh(folder):
    # so many steps however busy the machine is: after fewer there is no surface
    list(train(load_capture(filmed(folder / "captures" / "subject0", **FILM)), folder / "runs" / "volume",
               "neural-body", config=VOLUME, steps=600))
    made = run(notebook("07_volumes", CAPTURE=str(folder / "captures" / "subject0"), VOXEL=0.03, FILM=FILM,
                        RUN=str(folder / "runs" / "volume"), MINUTES=SHORT, CONFIG=VOLUME))
    assert "PSNR (dB)" in said(made) and "true clothed surface" in said(made)
    assert said(made).count("<video") == 2
    left = {file.name for file in (folder / "runs" / "volume").iterdir()}
    assert {"mesh.ply", "mesh.glb", "mesh.mp4"} <= left
    assert "application/vnd.jupyter.widget-view+json" in kinds(made)[-2:]


def test_dynamic_runs_from_a_film_to_somebody_elses_dance(folder):
    captures, run_folder = folder / "captures", folder / "runs" / "dynamic"
    made = run(notebook("08_dynamic", CAPTURE=str(captures / "subject0"), DRIVER=str(captures / "subject1"),
                        RUN=str(run_folder), MINUTES=0.1, FILM=FILM, CONFIG=DYNAMIC))
    assert f"{run_folder}/index.html</a>" in said(made)
    for caption in ("skeleton", "parts", "UV", "texture parts", "background", "foreground"):
        assert f">{caption}</figcaption>" in said(made)
    assert said(made).count("<video") == 1 and (run_folder / "as-subject1.mp4").is_file()
    assert kinds(made).count("image/png") == 3  # static and dynamic, the scene behind, elsewhere
    assert "image/png" in kinds(made)[-2:]


def test_a_folder_of_keypoints_alone_drives_too(folder, tmp_path):
    motion = write(tmp_path / "dancer", film(torch.full((12,), 900.0), 700, 500.0))
    made = run(notebook("08_dynamic", CAPTURE=str(folder / "captures" / "subject0"), DRIVER=str(motion),
                        RUN=str(folder / "runs" / "dynamic"), MINUTES=0.1, FILM=FILM, CONFIG=DYNAMIC,
                        ALIGN="scale", BACKGROUNDS="white"))
    assert f"{motion} is not there" not in said(made)
    assert (folder / "runs" / "dynamic" / "as-dancer.mp4").is_file()


def test_a_mistakes_traceback_is_there_on_request():
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (
        "import sys; sys.path.insert(0, '..')\nfrom anr_core.notebook.setting_up import one_line_errors\n"
        "one_line_errors()", "def broken():\n    raise ValueError('of a kind')\nbroken()", "%tb")])
    made.cells[1].metadata["tags"] = ["raises-exception"]
    run(made)
    assert said(made).strip().splitlines()[0] == "of a kind"
    wall = re.sub(r"\x1b\[[\d;]*m", "", "".join(made.cells[2].outputs[0]["traceback"]))
    assert "raise ValueError('of a kind')" in wall


@pytest.mark.parametrize("parameters, told", [
    ({"SOURCE": "no/such/film"}, "does not exist"),
    ({"SOURCE": "http://127.0.0.1:9/film.mp4"}, "127.0.0.1"),
    ({"FORMAT": "nonsense", "SOURCE": "."}, "no format 'nonsense'"),
    ({"SOURCE": " "}, "source is empty"),
    ({"KEEP_ON_DRIVE": True}, "Colab alone")])
def test_a_mistake_in_the_form_is_one_line_under_its_cell(parameters, told, tmp_path):
    made = notebook("01_data", CAPTURE=str(tmp_path / "capture"), **parameters)
    with pytest.raises(CellExecutionError):
        run(made)
    errors = [output for cell in made.cells for output in cell.get("outputs", [])
              if output.output_type == "error" or output.get("name") == "stderr"]
    words = "".join("\n".join(one.get("traceback", [])) or one.get("text", "") for one in errors)
    assert told in words
    lines = {line.strip() for line in re.split(r"[\r\n]+", words) if line.strip()}
    assert len(lines) == 1, lines
