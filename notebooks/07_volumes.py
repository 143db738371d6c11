# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A person as a volume
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/anr-core/anr_core/blob/main/notebooks/07_volumes.ipynb)
#
# Neural Body: every vertex of the body has a code. Codes spread into the space around it, rays are sent through, and
# what they meet is the person: with a depth at every pixel, and a surface that can be taken home as a mesh.

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
# @title Whom to train { display-mode: "form" }
# @markdown A capture that `01_data` made; where there is none, the studio draws one.
CAPTURE = "captures/subject0"  # @param {type: "string"}
RUN = "runs/subject0-neural-body"  # @param {type: "string"}
# @markdown On two cores a step takes half a second: the shirt's pattern needs ten minutes or more.
MINUTES = 8.0  # @param {type: "number"}
# @markdown `quick` for CPUs, `base` (the published size) for a GPU.
PRESET = "quick"  # @param ["quick", "base", "large"]
# @markdown A motion file to play (BVH, AMASS, EasyMocap, DeepMimic); the film's own poses where there is none.
MOTION = ""  # @param {type: "string"}
# @markdown The frame whose surface is taken, and how fine, in metres.
FRAME = 0  # @param {type: "integer"}
VOXEL = 0.008  # @param {type: "number"}
FILM = {}
CONFIG = {}

# %% [markdown]
# ## A volume learns
#
# You will see what a camera saw, what rays meet there, and the mask, getting closer: first a fog around the body, then
# its outline, at last its colours.

# %%
from anr_core.notebook import filmed, trained

run = trained(RUN, filmed(CAPTURE, **FILM), system="neural-body", minutes=MINUTES, preset=PRESET, config=CONFIG)

# %% [markdown]
# You will see depth, mask and person, while the camera circles. A picture takes a second or so on two cores.

# %%
from anr_core.notebook import played

played(run, MOTION, overview=True)

# %% [markdown]
# ## How good it is
#
# You will see one table: views of new cameras, of new poses, and of both, beside the static texture's.

# %%
from anr_core.notebook import figures

figures({"neural-body": run}, "neuralbody")

# %% [markdown]
# ## Its surface
#
# You will see how many triangles there are, how near they are to the true clothes where the studio knows these, and
# the mesh from all around, colours above and normals below. `mesh.ply` and `mesh.glb` lie in the run's folder.

# %%
from anr_core.notebook import meshed

meshed(run, FRAME, VOXEL)

# %% [markdown]
# ## Under your hands
#
# You will see the person beside sliders; while you move one, the picture is drawn small. Under *Looks* choose *depth*.

# %%
from anr_core.viewer import open_viewer

open_viewer(run)
