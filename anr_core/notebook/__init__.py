"""What the notebooks share beside the panel: set-up, forms that fail in one line, folders that outlive Colab.

Only Python's own modules are imported at the top, here and in the files: a notebook calls `set_up` before
anything is installed.
"""

from anr_core.notebook.cells import figures, filmed, opened, pictures_of, runs_of, shown, trained
from anr_core.notebook.comparing import comparison_figures, curves, runs_to_compare, side_by_side
from anr_core.notebook.driving import compared, mover, paged, replaced, uncovered
from anr_core.notebook.handing import exported
from anr_core.notebook.keeping import fetch_back, keep, keeping
from anr_core.notebook.pictures import films, meshed, numbers_of, painted, paired, played, transferred
from anr_core.notebook.setting_up import REPOSITORY, ROOT, on_colab, set_up

__all__ = ["REPOSITORY", "ROOT", "compared", "comparison_figures", "curves", "exported", "fetch_back",
           "figures", "filmed", "films", "keep", "keeping", "meshed", "mover", "numbers_of", "on_colab",
           "opened", "paged", "painted", "paired", "pictures_of", "played", "replaced", "runs_of",
           "runs_to_compare", "set_up", "shown", "side_by_side", "trained", "transferred", "uncovered"]
