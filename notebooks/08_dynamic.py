# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A person in somebody else's dance
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/anr-core/anr_core/blob/main/notebooks/08_dynamic.ipynb)
#
# Keypoints in the picture become parts and places on them, these sample a texture, a network makes it alive, and the
# scene behind the person is learned too. So keypoints of any video move the person; where there is a body it says where
# its parts are.

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
# @title Whom to train, and who dances { display-mode: "form" }
# @markdown A capture that `01_data` made; where there is none, the studio draws one.
CAPTURE = "captures/film0"  # @param {type: "string"}
RUN = "runs/film0-dynamic"  # @param {type: "string"}
# @markdown Two minutes on two cores give a person out of focus; more of them help, and so does a GPU.
MINUTES = 2.0  # @param {type: "number"}
# @markdown `quick` for CPUs, `base` for a GPU.
PRESET = "quick"  # @param ["quick", "base", "large"]
# @markdown Who dances: a capture, or a folder of OpenPose's JSON; where there is neither, the studio draws somebody.
DRIVER = "captures/film1"  # @param {type: "string"}
# @markdown `limbs`: as tall as the person, who stands where they stood, with limbs as long; `scale`: without the limbs.
ALIGN = "limbs"  # @param ["limbs", "scale", "none"]
# @markdown What to stand before, and a picture; where none is named, the scene of whoever dances.
BACKGROUNDS = "own, #20a040, none"  # @param {type: "string"}
PICTURE = ""  # @param {type: "string"}
FILM = {"cameras": 2, "frames": 24}
CONFIG = {}

# %% [markdown]
# ## It learns
#
# You will see what a camera saw, what is drawn there, and the mask, getting closer. First, for a third of the time, it
# learns of made-up people where parts are; then this person's colours; then how they move.

# %%
from anr_core.notebook import filmed, trained

run = trained(RUN, filmed(CAPTURE, **FILM), system="dynamic-texture", minutes=MINUTES, preset=PRESET, config=CONFIG)

# %% [markdown]
# You will see the newest row of the run's page: the pose, the parts, places on them, the texture and what comes of it.
# The page itself, behind the link, shows these over the whole training.

# %%
from anr_core.notebook import paged

paged(run)

# %% [markdown]
# ## Static and dynamic
#
# You will see frames that it was not trained on: as filmed, by the texture alone, and with what the network adds.

# %%
from anr_core.notebook import compared

compared(run)

# %% [markdown]
# ## The scene behind
#
# You will see the mask and the background that came with the film, and beside each what has been learned of it.

# %%
from anr_core.notebook import uncovered

uncovered(run)

# %% [markdown]
# ## Somebody else's dance
#
# You will see who dances, their keypoints as your person's, and your person, who dances so.

# %%
from anr_core.notebook import mover, transferred

driver = mover(DRIVER, subject=1, **FILM)
transferred(run, driver, align=ALIGN, overview=("motion", "skeleton", "result"))

# %% [markdown]
# ## Elsewhere
#
# You will see one moment of it before the scene that was learned, a colour, nothing at all (squares stand for it), and a
# picture.

# %%
from anr_core.notebook import replaced

replaced(run, driver, BACKGROUNDS, ALIGN, PICTURE)
