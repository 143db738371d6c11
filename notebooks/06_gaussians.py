# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A person as a few soft ellipsoids
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/anr-core/anr_core/blob/main/notebooks/06_gaussians.ipynb)
#
# A skeleton's bones become Gaussian primitives, rays through them make a picture of features, and a network makes the
# person of it. How the person looks is told by one picture of them; how they stand, by joints alone.
#
# ![Balls, ellipsoids and people, as the renderer draws them](https://raw.githubusercontent.com/anr-core/anr_core/main/assets/shapes.jpg)

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
RUN = "runs/subject0-gaussian"  # @param {type: "string"}
MINUTES = 4.0  # @param {type: "number"}
# @markdown Somebody else, on the same body, whose motion is taken; where there is none, the studio draws subject 1.
OTHER = "captures/subject1"  # @param {type: "string"}
# @markdown How long what makes joints of keypoints learns.
LIFT_MINUTES = 3.0  # @param {type: "number"}
# @markdown How long one avatar learns both people.
BOTH_MINUTES = 4.0  # @param {type: "number"}
FILM = {}
CONFIG = {}

# %% [markdown]
# ## The renderer
#
# You will see two balls. Let the red one come nearer, and watch its weight: nothing is sorted, who is nearer weighs
# more. Go in among many of them, and untick *rays begin at the camera*: then what lies behind it is seen too.

# %%
from anr_core.viewer import open_shapes

open_shapes("two-that-overlap")

# %% [markdown]
# You will see three people, an ellipsoid a bone: the left side is warm, the right one cold. Make them thicker.

# %%
open_shapes("people")

# %% [markdown]
# ## An avatar learns
#
# You will see what a camera saw, what is drawn there of a picture from another camera, and the mask, getting closer.
# First, for a tenth of the time, a network practises to lift keypoints into space, of which there are no pictures.

# %%
from anr_core.notebook import filmed, trained

run = trained(RUN, filmed(CAPTURE, **FILM), system="gaussian", minutes=MINUTES, config=CONFIG)

# %% [markdown]
# You will see, side by side: the picture that lends the looks, the bones, the primitives, the latent image in colours,
# the mask, and the person, while the camera circles.

# %%
from anr_core.notebook import played

played(run, overview=True)

# %% [markdown]
# ## Under your hands
#
# You will see the person beside sliders. Under *Looks* choose what to show; under *Source*, which picture lends the
# looks: another one of the film, or one that you upload. An avatar that knows one person makes little of a stranger.

# %%
from anr_core.viewer import open_viewer

open_viewer(run)

# %% [markdown]
# ## Keypoints into space
#
# From the film's 2D keypoints joints in space are found, frame by frame, and written into the capture. You will see how
# far off each picture's joints are, in millimetres, beside the mean pose: as they are, scaled, and scaled and turned.
# One picture tells depth by what people do alone; several cameras are brought together.

# %%
from anr_core.prepare.lift import lift

film = lift(pathlib.Path(CAPTURE), minutes=LIFT_MINUTES)

# %% [markdown]
# ## Another's motion
#
# You will see the film of the motion at the left, and at the right your person, who moves so.

# %%
from anr_core.notebook import transferred

other = filmed(OTHER, subject=1, **FILM)
transferred(run, other)

# %% [markdown]
# ## Another's looks
#
# One avatar learns both people, and tells them apart by the picture alone. You will see the first one's motion, played
# by the other: the picture that lends the looks stands beside it. After minutes on two cores they are blurred; colours
# are right.

# %%
both = trained(f"{RUN}-both", [CAPTURE, other], system="gaussian", minutes=BOTH_MINUTES, config=CONFIG)
transferred(both, CAPTURE, looks=other)
