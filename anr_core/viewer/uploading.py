"""Files that somebody chose in the browser."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import ipywidgets as widgets


def upload_button(words: str, taken: Callable[[str], None]) -> widgets.FileUpload:
    """A button to choose a picture with; `taken` is told where it lies here."""
    button = widgets.FileUpload(accept="image/*", description=words, layout=widgets.Layout(width="180px"))

    def uploaded(change):
        uploads = change["new"]
        if not uploads:
            return
        # a dictionary by name in ipywidgets 7, a tuple of records in 8
        name, content = next((name, one["content"]) for name, one in (
            uploads.items() if isinstance(uploads, dict) else ((one["name"], one) for one in uploads)))
        file = Path(tempfile.mkdtemp(prefix="anr_core-")) / (Path(name).name.lstrip(".") or "upload")
        file.write_bytes(bytes(content))
        taken(str(file))

    button.observe(uploaded, "value")
    return button
