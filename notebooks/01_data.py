# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A capture out of what you have
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/anr-core/anr_core/blob/main/notebooks/01_data.ipynb)
#
# Paste a path or a link: a video, a folder of pictures, a data set in one of the field's formats. Out comes one clean
# capture, checked before anyone trains on it.
#
# ![Frames of a capture with the body's outline](https://raw.githubusercontent.com/anr-core/anr_core/main/assets/capture.jpg)

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
# @title Your film { display-mode: "form" }
# @markdown `studio` is a person nobody filmed; `sample` the openly licensed recording of a walk on a beam by
# @markdown four cameras (pose2sim, BSD-3); else a path or a link.
SOURCE = "studio"  # @param {type: "string"}
CAPTURE = "captures/mine"  # @param {type: "string"}
FORMAT = "auto"  # @param ["auto", "registered", "easymocap", "pose2sim", "plain", "zju", "people-snapshot", "neuman", "panoptic", "human-view-synthesis", "dynamic-texture", "smplpix"]
# @markdown Frames a second to take, and seconds of the source; 0 takes all.
FPS = 0.0  # @param {type: "number"}
START = 0.0  # @param {type: "number"}
END = 0.0  # @param {type: "number"}
# @markdown Find keypoints and masks where they are missing, with `torchvision` or `mediapipe`.
ANNOTATOR = ""  # @param ["", "torchvision", "mediapipe"]
KEEP_ON_DRIVE = False  # @param {type: "boolean"}
STUDIO = {}

# %% [markdown]
# ## What was recognised, and whether it is sound
#
# You will see the format that was found, and the checks in plain words: each names the file, what is wrong, and what
# mends it. Where keypoints are known and no body is, a body is fitted.

# %%
from anr_core.notebook import keep, keeping, shown
from anr_core.prepare.making import make_capture

KEPT = keeping(CAPTURE, KEEP_ON_DRIVE)
capture = make_capture(SOURCE, CAPTURE, format=FORMAT, fps=FPS or None, start=START or None, end=END or None,
                       annotator=ANNOTATOR or None, studio=STUDIO)
print(f"{capture.path.name}: {len(capture.cameras)} cameras, {len(capture.shots)} pictures, {capture.licence}")

# %% [markdown]
# ## The contact sheet
#
# You will see moments of every camera. The body's outline is green, keypoints of the person's left side are yellow,
# of the right red. Where outlines or keypoints leave the person, something was mistaken: mend that before training.

# %%
from anr_core.capture.sheet import contact_sheet

shown(contact_sheet(capture))

# %% [markdown]
# ## What a renderer gets
#
# You will see one frame, its mask, the body's part and texture coordinates (IUV), its normals, and the frame
# unwrapped onto the body's texture.

# %%
from anr_core.export.glimpse import glimpse
from anr_core.layers import beside

if capture.registration is None:
    print("There is no body yet: it needs keypoints. Choose an ANNOTATOR above, or lay them beside the pictures.")
else:
    shown(beside(glimpse(capture)))

# %% [markdown]
# ## Kept
#
# You will see where the capture lies. `02_train` takes it from there.

# %%
print(keep(capture.path, KEPT))
