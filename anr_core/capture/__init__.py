"""Captures: a person, filmed. The record, its folder, and the formats it is read from."""

from anr_core.capture.folder import Capture, Shot, load_capture
from anr_core.capture.view import View
from anr_core.capture.views import Views
from anr_core.capture.window import body_box, resample, resize

__all__ = ["Capture", "Shot", "View", "Views", "body_box", "load_capture", "resample", "resize"]
