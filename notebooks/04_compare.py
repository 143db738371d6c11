# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Systems side by side
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/anr-core/anr_core/blob/main/notebooks/04_compare.ipynb)
#
# Every system that was trained on one capture draws the same person in the same pose under the same sliders, and one
# table says how good each is on views that none of them saw.
#
# ![Input, static texture, prediction, mask, truth and error in views that were held out](https://raw.githubusercontent.com/anr-core/anr_core/main/assets/novel_view.jpg)

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
# @title What to compare { display-mode: "form" }
CAPTURE = "captures/subject0"  # @param {type: "string"}
# @markdown The folder that `python -m benchmarks.compare` filled. Nothing: the runs of this capture, and systems
# @markdown that have none yet are trained for so many minutes each.
COMPARISON = ""  # @param {type: "string"}
SYSTEMS = "static, deferred, smplpix, anr"  # @param {type: "string"}
MINUTES = 1.0  # @param {type: "number"}
RUNS = "runs"
PROTOCOL = "neuralbody"  # @param ["neuralbody", "inside", "whole"]
CONFIG = {}

# %% [markdown]
# ## The runs
#
# You will see each system that is not there yet being trained; of a comparison, the command that made it.

# %%
from anr_core.notebook import comparison_figures, curves, runs_to_compare, side_by_side

runs = runs_to_compare(CAPTURE, SYSTEMS, RUNS, MINUTES, COMPARISON, CONFIG)

# %% [markdown]
# ## The figures
#
# You will see how good each is on views of new cameras (`novel_view`), of new poses (`novel_pose`), and of both, with
# what the protocol counts and how; of a comparison also what training and drawing cost.

# %%
comparison_figures(runs, PROTOCOL, COMPARISON)

# %% [markdown]
# ## The same frame by each
#
# You will see views that none of them was trained on, the truth at the left.

# %%
side_by_side(runs, COMPARISON)

# %% [markdown]
# ## How fast they learn
#
# You will see figures against minutes of training, where a comparison was made with `--curves`.

# %%
curves(CAPTURE, COMPARISON, MINUTES)

# %% [markdown]
# ## Under the same sliders
#
# You will see the same person by each of them; every slider moves them all.

# %%
from anr_core.viewer import open_viewer

open_viewer(*runs.values())
