"""Bodies: pose in, posed mesh out.

`SmplBody` is imported from `anr_core.body.smpl` by whoever has the files for it.
"""

from anr_core.body.atlas import make_surface, unwrap
from anr_core.body.base import Body, Pose, Posed, Surface
from anr_core.body.tracked import TrackedBody

__all__ = ["Body", "Pose", "Posed", "Surface", "TrackedBody", "make_surface", "unwrap"]
