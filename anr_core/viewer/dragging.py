"""The picture: a plain image widget, or one on which the mouse orbits where anywidget is at hand."""

from __future__ import annotations

import sys
from collections.abc import Callable

import ipywidgets as widgets

ESM = """
function render({ model, el }) {
  const image = document.createElement("img");
  image.style.cssText = "width:100%;display:block;cursor:grab;user-select:none;touch-action:none";
  image.draggable = false;
  let address = null, from = null, count = 0;
  const show = () => {
    const old = address;
    address = URL.createObjectURL(new Blob([model.get("value")], { type: "image/jpeg" }));
    image.onload = () => { if (old) URL.revokeObjectURL(old); };
    image.src = address;
  };
  model.on("change:value", show);
  show();
  const send = (name, value) => { model.set(name, [...value, ++count]); model.save_changes(); };
  image.addEventListener("pointerdown", (event) => {
    from = [event.clientX, event.clientY];
    image.setPointerCapture(event.pointerId);
  });
  image.addEventListener("pointermove", (event) => {
    if (!from) return;
    const side = image.getBoundingClientRect().height || 1;
    send("dragged", [(event.clientX - from[0]) / side, (event.clientY - from[1]) / side]);
    from = [event.clientX, event.clientY];
  });
  for (const name of ["pointerup", "pointercancel"]) image.addEventListener(name, () => { from = null; });
  image.addEventListener("wheel", (event) => {
    event.preventDefault();
    send("wheeled", [Math.sign(event.deltaY)]);
  }, { passive: false });
  el.appendChild(image);
  return () => { if (address) URL.revokeObjectURL(address); };
}
export default { render };
"""


def picture_widget(dragged: Callable[[float, float], None], wheeled: Callable[[float], None]):
    """A widget whose `value` is a JPEG file's bytes.

    dragged  told how far the mouse went to the right and down, in heights of the picture
    wheeled  told how many notches the wheel was turned, away from the picture
    """
    try:
        import anywidget
        import traitlets
    except ImportError:
        return widgets.Image(format="jpeg")
    if "google.colab" in sys.modules:  # there it needs a widget manager that is fetched
        return widgets.Image(format="jpeg")

    class DraggedPicture(anywidget.AnyWidget):
        _esm = ESM
        value = traitlets.Bytes(b"").tag(sync=True)
        dragged = traitlets.List([]).tag(sync=True)  # right, down, and a number that is always new
        wheeled = traitlets.List([]).tag(sync=True)

    picture = DraggedPicture()
    picture.observe(lambda change: dragged(*change["new"][:2]), "dragged")
    picture.observe(lambda change: wheeled(change["new"][0]), "wheeled")
    return picture
