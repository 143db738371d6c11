# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Training, watched
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/anr-core/anr_core/blob/main/notebooks/02_train.ipynb)
#
# Choose a capture and a system. The preview sharpens while it learns; stop and go on whenever you like, also after
# Colab has disconnected; at the end you see how good it is on views that it never saw.
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
# @title What to train { display-mode: "form" }
# @markdown A capture that `01_data` made; where there is none, the studio draws one.
CAPTURE = "captures/mine"  # @param {type: "string"}
RUN = "runs/mine"  # @param {type: "string"}
SYSTEM = "anr"  # @param ["anr", "smplpix", "gaussian", "neural-body", "deferred", "static"]
# @markdown `quick` for CPUs, `base` for a T4, `large` for more.
PRESET = "quick"  # @param ["quick", "base", "large"]
MINUTES = 8.0  # @param {type: "number"}
SEED = 0  # @param {type: "integer"}
# @markdown What to judge by, beside what the capture itself holds out (the studio's does): an avatar of all of your
# @markdown film is better, but nobody can say how good.
HOLD_OUT = "nothing more"  # @param ["nothing more", "the last fifth of the frames", "one camera"]
PROTOCOL = "neuralbody"  # @param ["neuralbody", "inside", "whole"]
KEEP_ON_DRIVE = False  # @param {type: "boolean"}
CONFIG = {}

# %% [markdown]
# ## Learning
#
# You will see the loss, the images a second, the time left, and the newest preview. To stop, interrupt the cell; to
# go on, run it again, also tomorrow: the run is copied to Drive every minute where that is ticked, and taken from
# there.

# %%
from anr_core.notebook import fetch_back, figures, keeping, pictures_of, trained

KEPT = {"capture": keeping(CAPTURE, KEEP_ON_DRIVE), "run": keeping(RUN, KEEP_ON_DRIVE)}
fetch_back(KEPT["capture"], CAPTURE)
run = trained(RUN, CAPTURE, system=SYSTEM, minutes=MINUTES, kept=KEPT["run"], hold_out=HOLD_OUT, preset=PRESET,
              seed=SEED, config=CONFIG)

# %% [markdown]
# ## How good it is
#
# You will see figures on the views that were held out, beside those of the static texture (the film unwrapped onto
# the body, nothing learned) and of one mean colour.

# %%
figures({SYSTEM: run}, PROTOCOL)

# %% [markdown]
# And the same in pictures: input, static texture, prediction, mask, truth and error. Where nothing was held out you
# will see the newest preview.

# %%
pictures_of(run)
