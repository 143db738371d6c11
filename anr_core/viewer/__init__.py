"""The notebook's panel: avatars in, a picture under sliders out.

    Viewer(load_avatar("runs/demo"))          in a cell's last line it shows itself
    open_viewer("runs/demo")                  the same, with the poses and backgrounds of the run's capture
    open_viewer("runs/demo", "runs/other")    side by side under the same sliders
    open_shapes()                             what the renderer of Gaussians makes of balls and people

Written to what ipywidgets 7.7 and 8 have in common: one `Image` whose bytes are replaced, plain sliders. The
picture is drawn by a thread (`latest`), and everything it shows follows from one record (`state`).
"""

from anr_core.export.around import View
from anr_core.viewer.opening import open_viewer
from anr_core.viewer.panel import Viewer
from anr_core.viewer.shapes import open_shapes
from anr_core.viewer.state import State

__all__ = ["State", "View", "Viewer", "open_shapes", "open_viewer"]
