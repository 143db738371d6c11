# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # An avatar in five minutes
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/anr-core/anr_core/blob/main/notebooks/00_quickstart.ipynb)
#
# A person nobody filmed is drawn, an avatar of them learns from the film while you watch, and then turns and moves
# under your sliders. Nothing has to be chosen or uploaded: *Runtime > Run all*.
#
# ![The avatar of an embedded subject, drawn from a camera that circles it](https://raw.githubusercontent.com/anr-core/anr_core/main/assets/orbit.jpg)

# %% [markdown]
# First the set-up. You will see what this machine has; torch and numpy stay as they are.

# %%
# @title Set up { display-mode: "form" }
import pathlib
import subprocess
import sys

REPOSITORY, TAG = "https://github.com/anr-core/anr_core", "v0.1.0"
places = [pathlib.Path.cwd(), *pathlib.Path.cwd().parents, pathlib.Path("anr_core")]
root = next((place for place in places if (place / "anr_core" / "notebook").is_dir()), None)
if root is None:
    root = pathlib.Path("anr_core")
    if subprocess.run(["git", "clone", "--quiet", "--depth=1", "--branch", TAG, REPOSITORY, root]).returncode:
        sys.exit(f"{REPOSITORY} could not be fetched: is there a network? Or open the notebook in a checkout.")
sys.path.insert(0, str(root.resolve()))

from anr_core.notebook import set_up

set_up()

# %% tags=["parameters"]
# @title What to draw { display-mode: "form" }
SUBJECT = 0  # @param {type: "integer"}
MINUTES = 2.0  # @param {type: "number"}
FOLDER = "."
FILM = {"cameras": 6, "frames": 40, "size": 256}
CONFIG = {}
STAMP = False

# %% [markdown]
# ## A film
#
# Every number is another person, in clothes and hair that are not the body's surface. You will see what the cameras
# saw, with the outline of the body that the avatar knows in green: it is naked, and a little off, as a real fit is.

# %%
import anr_core
from anr_core.capture.sheet import contact_sheet
from anr_core.notebook import shown, trained

CAPTURE, RUN = f"{FOLDER}/captures/subject{SUBJECT}", f"{FOLDER}/runs/subject{SUBJECT}"
capture = anr_core.studio_capture(CAPTURE, SUBJECT, **FILM)
shown(contact_sheet(capture, cameras=3, moments=4))

# %% [markdown]
# ## An avatar learns
#
# The preview sharpens while it trains: what a camera saw, what the avatar draws there, and its mask. Stop the cell
# whenever you like; what has been learned is kept, and running it again goes on.

# %%
run = trained(RUN, CAPTURE, minutes=MINUTES, config=CONFIG)

# %% [markdown]
# ## It is yours to move
#
# You will see the person beside sliders: turn them under *View*, bend their joints under *Pose*, change what is behind
# them under *Looks*. `03_interact` explains the rest.

# %%
from anr_core.viewer import open_viewer

open_viewer(run, stamp=STAMP)
