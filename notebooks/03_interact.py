# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # The person under your hands
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/anr-core/anr_core/blob/main/notebooks/03_interact.ipynb)
#
# Open a run, or let one be trained for a minute, and move the person: view, joints, motions, backgrounds, textures.
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
# @title Whom to open { display-mode: "form" }
# @markdown A run that was trained: its folder, or a link to its zip. Where there is none, one is trained.
RUN = "runs/subject0"  # @param {type: "string"}
CAPTURE = "captures/subject0"  # @param {type: "string"}
MINUTES = 1.0  # @param {type: "number"}
# @markdown Pixels of the picture; 0 for what the avatar was trained for.
SIZE = 0  # @param {type: "integer"}
CONFIG = {}
STAMP = False

# %%
from anr_core.notebook import opened

run = opened(RUN, CAPTURE, minutes=MINUTES, config=CONFIG)

# %% [markdown]
# ## The panel
#
# | tab | |
# |---|---|
# | View | where the camera stands; where anywidget is installed, drag on the picture and turn the wheel |
# | Pose | every main joint, within what people can do; poses of the film, T and A; a pose as text |
# | Motion | a motion file (BVH, AMASS, EasyMocap, DeepMimic) or the film's own poses, played on the person |
# | Looks | the background, a step on the way (IUV, features, latent image, normals, mask), size, another's clothes |
# | Source | of an avatar that looks at a picture: which one, of the film or any other |
# | Save | a picture, a video, the exact state as text |
#
# Click a slider, then the arrow keys move it. You will see the person at the left; below stand size and speed, and in
# red what went wrong, if anything did.

# %%
from anr_core.viewer import open_viewer

panel = open_viewer(run, size=SIZE or None, stamp=STAMP)
panel

# %% [markdown]
# ## Hand it on
#
# The button writes the avatar as one page, which others open in a browser, without Python and without a network: the
# person under sliders, drawn there. You will see a link to fetch it (12 MB). It needs the package `onnx`: where that is
# missing, the line below the button says so. Name `avatar.glb` for a mesh that Blender and game engines read.

# %%
from anr_core.notebook import exported

exported(run, "avatar.html")
