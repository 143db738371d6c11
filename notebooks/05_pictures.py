# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Pictures in, pictures out
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/anr-core/anr_core/blob/main/notebooks/05_pictures.ipynb)
#
# SMPLpix turns the picture of a mesh into the picture of a person. So it can be taught anything that has a picture
# before and a picture after: a film, a painter's few frames of it, or pairs of pictures without any body at all.
#
# ![A person as filmed, and as painted after three painted frames](https://raw.githubusercontent.com/anr-core/anr_core/main/assets/painted.jpg)

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
CAPTURE = "captures/subject0"  # @param {type: "string"}
RUN = "runs/subject0-smplpix"  # @param {type: "string"}
MINUTES = 3.0  # @param {type: "number"}
# @markdown A motion file to play (BVH, AMASS, EasyMocap, DeepMimic); the film's own poses where there is none.
MOTION = ""  # @param {type: "string"}
# @markdown Frames that are painted, and how long a painter learns from them.
PAINTED_FRAMES = "2, 9, 16"  # @param {type: "string"}
PAINTED_MINUTES = 2.0  # @param {type: "number"}
# @markdown Pairs of pictures, `train/input` and `train/output`: a folder, a zip or a link; those of the film where
# @markdown there is none.
PAIRS = ""  # @param {type: "string"}
PAIRS_MINUTES = 2.0  # @param {type: "number"}
CONFIG = {}

# %% [markdown]
# ## A film
#
# You will see the mesh in the film's own colours, what is drawn of it, and what the camera saw, getting closer.

# %%
from anr_core.notebook import trained

run = trained(RUN, CAPTURE, system="smplpix", minutes=MINUTES, config=CONFIG)

# %% [markdown]
# You will see videos of what it was trained on and of what it was not, input beside prediction beside truth.

# %%
from anr_core.notebook import films

films(run)

# %% [markdown]
# ## A new motion
#
# You will see the person play it, while the camera circles.

# %%
from anr_core.notebook import played

played(run, MOTION)

# %% [markdown]
# ## A painter's hand
#
# A few frames are painted: by our own brush here; put your own pictures in their place. You will see them.

# %%
from anr_core.notebook import numbers_of, painted

frames = numbers_of(PAINTED_FRAMES)
canvas = painted(CAPTURE, f"{CAPTURE}-painted", frames)

# %% [markdown]
# What the run knows of the person stays, and what draws them learns to paint, judged by a discriminator that tells
# strokes from what is merely their mean. You will see the person circled, as painted.

# %%
style = trained(f"{RUN}-painted", canvas, system="smplpix", minutes=PAINTED_MINUTES, init=run, freeze_texture=True,
                frames=frames, config={"adversary": 0.03, "structure": 0.1} | CONFIG)
played(style)

# %% [markdown]
# ## Pairs of pictures
#
# No body, no cameras: whatever has the same name in `input` and in `output` belongs together. You will see how close
# the drawn pictures come on pairs that were held out, beside the input itself, and the videos.

# %%
from anr_core.notebook import figures, paired

pairs = trained(f"{RUN}-pairs", paired(PAIRS, CAPTURE), system="smplpix", minutes=PAIRS_MINUTES, config=CONFIG)
figures({"smplpix": pairs}, "whole")
films(pairs)
