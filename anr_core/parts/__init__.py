"""A body's parts, told by 2D poses: limbs as pictures, what part is seen where, charts to sample."""

from anr_core.parts.charts import charted
from anr_core.parts.generator import Generator, Labelling, parts_around
from anr_core.parts.limbs import Limbs
from anr_core.parts.made_up import MadeUp, keypoint_mix

__all__ = ["Generator", "Labelling", "Limbs", "MadeUp", "charted", "keypoint_mix", "parts_around"]
