"""The notebooks beside Colab's own versions of what stands between kernel and widget; their set-up."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from anr_core.notebook import setting_up
from tests.notebooks.headless import kinds, notebook, run, said

COLAB = ("ipywidgets==7.7.1", "ipykernel==6.17.1", "ipython==7.34.0")
TINY = {"size": 48, "window": 32, "batch": 1, "texture_size": 64, "width": 4}
FILM = {"cameras": 3, "frames": 3, "size": 48, "fps": 1.0}


@pytest.fixture(scope="module")
def colab(tmp_path_factory):
    """A Python with Colab's versions before everything that is installed here."""
    folder = tmp_path_factory.mktemp("colab") / "env"
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    here = sysconfig.get_paths()["purelib"]
    there = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
                           capture_output=True, text=True, check=True).stdout.strip()
    done = subprocess.run([python, "-m", "pip", "install", "--quiet", *COLAB], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no package registry for Colab's versions: {done.stderr.strip().splitlines()[-1]}")
    Path(there, "rest.pth").write_text(here)  # after its own
    return str(python)


def test_the_notebooks_run_with_colabs_versions(colab, tmp_path):
    versions = subprocess.run([colab, "-c", "import ipywidgets, ipykernel, IPython, torch; "
                               "print(ipywidgets.__version__, ipykernel.__version__, IPython.__version__)"],
                              capture_output=True, text=True, check=True).stdout.split()
    assert versions == ["7.7.1", "6.17.1", "7.34.0"]
    made = run(notebook("00_quickstart", FOLDER=str(tmp_path), FILM=FILM, MINUTES=0.02, CONFIG=TINY), colab)
    assert "application/vnd.jupyter.widget-view+json" in kinds(made)[-2:]
    places = {"RUN": str(tmp_path / "runs" / "subject0"), "CAPTURE": str(tmp_path / "captures" / "subject0")}
    made = notebook("03_interact", **places, MINUTES=0.02, CONFIG=TINY)
    made.cells[-1].source += MOVED
    assert "moved: 40.0" in said(run(made, colab))


MOVED = """
panel.settle()
before = bytes(panel.picture.value)
panel.parts["View"].sliders.widgets["azimuth"].value = 40
panel.parts["Pose"].choice.value = "T-pose"
panel.settle()
assert bytes(panel.picture.value) != before and not panel.words.value
print("moved:", panel.state.view.azimuth)
"""


# set-up

def test_nothing_that_a_notebook_keeps_is_ever_asked_for_anew(monkeypatch):
    asked = []

    def pip(command, **_):
        asked.append((command, Path(command[command.index("-c") + 1]).read_text()))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(setting_up.subprocess, "run", pip)
    setting_up.install(["xatlas", "warp-lang<1.18"])
    (command, held), = asked
    assert command[:4] == [sys.executable, "-m", "pip", "install"] and "xatlas" in command
    assert "--upgrade" not in command
    running = setting_up.running()
    assert {"torch", "numpy"} <= set(running)
    assert all(f"{name}=={version}\n" in held for name, version in running.items())


def test_an_old_driver_gets_an_older_warp(monkeypatch, tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text("torch>=2.8\nwarp-lang\npytest\n# words\nkornia  # more\n")
    for driver, wanted in ((550, "warp-lang<1.18"), (580, "warp-lang"), (None, "warp-lang")):
        monkeypatch.setattr(setting_up, "driver_version", lambda driver=driver: driver)
        assert setting_up.requirements(file, tests=False) == ["torch>=2.8", wanted, "kornia"]


def test_what_is_there_is_not_installed_again():
    lines = setting_up.requirements(setting_up.ROOT / "requirements.txt", tests=True)
    assert setting_up.missing(lines) == []
    assert setting_up.missing(["no-such-package>=2"]) == ["no-such-package>=2"]


def test_a_failing_pip_is_one_line(monkeypatch):
    monkeypatch.setattr(setting_up.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(
        command, 1, "", "many words\nERROR: No matching distribution found for x"))
    with pytest.raises(OSError, match="could not install x: ERROR: No matching"):
        setting_up.install(["x"])


def test_the_report_names_what_there_is():
    told = setting_up.report()
    for word in ("Python 3", "torch", "numpy", "Warp", "GB of disk free", "GPU"):
        assert word in told
