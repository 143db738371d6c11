"""Image networks: from sampled features to pictures, from pictures to what they show, and who judges them.

    UNet, BlockUNet         a picture of features becomes a picture; ANR's and SMPLpix's
    ModulatedUNet           the same under a style
    ResNet                  a picture becomes a vector
    PatchDiscriminator      was each patch of a picture taken or drawn?
    ResidualDiscriminator   the same, at one scale and deeper
"""

from __future__ import annotations

from anr_core.renderer.convolutions import conv
from anr_core.renderer.discriminators import PatchDiscriminator, ResidualDiscriminator
from anr_core.renderer.modulated import ModulatedUNet
from anr_core.renderer.resnet import ResNet, imagenet
from anr_core.renderer.unet import ACTIVATIONS, NORMS, UPS, BlockUNet, UNet

__all__ = ["ACTIVATIONS", "NORMS", "UPS", "BlockUNet", "ModulatedUNet", "PatchDiscriminator",
           "ResidualDiscriminator", "ResNet", "UNet", "conv", "imagenet"]
