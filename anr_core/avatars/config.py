"""The settings of a training run: one frozen record, saved with the run, filled from a preset.

A system that has settings of its own extends `Config` in its module, and has its own `PRESETS` there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from importlib import import_module
from types import ModuleType
from typing import ClassVar

from anr_core.telling import listed, quoted

SYSTEMS = {
    "anr": ("anr_core.avatars.anr", "ANR"),
    "deferred": ("anr_core.avatars.deferred", "Deferred"),
    "dynamic-texture": ("anr_core.avatars.dynamic_texture", "DynamicTexture"),
    "gaussian": ("anr_core.avatars.gaussian", "Gaussian"),
    "neural-body": ("anr_core.avatars.neural_body", "NeuralBody"),
    "smplpix": ("anr_core.avatars.smplpix", "SMPLpix"),
    "static": ("anr_core.avatars.static", "StaticTexture"),
}

LARGEST = 10**9  # of any setting but the seed
# settings that nothing works without
COUNTS = ("size", "window", "batch", "texture_size", "texture_channels", "texture_levels", "width", "fold")

# sides of pictures that are drawn, or looked at, as a whole
SIDES, LARGEST_SIDE = ("size", "window", "source_size"), 4096

# resolutions, each half of the one before: more than so many are of no picture
LEVELS, MOST_LEVELS = ("levels", "texture_levels", "outer"), 30


@dataclass(frozen=True)
class Config:
    """Everything that shapes an avatar and its training, but not how long it takes.

    network_settings  those that two runs need to have alike, if one is to take over what draws the other
    """

    network_settings: ClassVar[tuple[str, ...]] = ("texture_channels", "width", "levels", "fold")

    # which avatar: a name of avatars.SYSTEMS
    system: str = "anr"
    # "quick", "base" or "large": where the other values came from
    preset: str = "quick"
    # side of the square picture around the body, pixels: what evaluation draws
    size: int = 256
    # side of the square windows that training draws, pixels: smaller ones take less time and memory
    window: int = 160
    # passes over the training pictures after which the learning rates have fallen to a quarter
    passes: int = 400
    # pictures a step, of each process: of W processes (torchrun, srun) a step has W times as many. An even
    # number for dynamic-texture, which takes them in pairs
    batch: int = 4
    # texels a side of the finest level of the neural texture
    texture_size: int = 256
    # channels of the neural texture, of which the first three hold the colour
    texture_channels: int = 16
    # levels of the texture's pyramid, whose samples are summed
    texture_levels: int = 4
    # one chart a body part instead of one atlas
    charts_by_part: bool = False
    # channels of the first layer of R1 and of R2; parameters and time grow with its square
    width: int = 16
    # resolutions of R1 and of R2: more of them see farther, and learn few pictures by heart; 0 takes as many
    # as the training pictures can teach
    levels: int = 0
    # side of the pixel blocks that the networks fold into channels: 1 is slower and sharper
    fold: int = 2
    # weight of the structure loss (1 - SSIM): sharper, and a fifth slower
    structure: float = 0.0
    # weight of LPIPS on a VGG, where its weights can be had: far too slow for two cores
    perceptual: float = 0.0
    # weight of what a patch discriminator, trained along, says of the drawn pictures: sharper, and slower
    adversary: float = 0.0
    # "weak" trains and draws with each camera's weak-perspective approximation at the body's root depth
    projection: str = "perspective"
    # R1 and R2, taken over from another run, rest: the texture alone is trained
    freeze_renderers: bool = False
    # the texture, taken over from another run of the same person, rests: what draws it alone is trained, as
    # for another style, of which a few frames show little of the person
    freeze_texture: bool = False
    # of so many training pictures or more, poses and cameras are first corrected a little, by the outlines of
    # the masks; 0 never: views of few pictures, held out, lost 0.2 dB by it
    refine_from: int = 30
    # random state: the same seed and steps give the same bytes (CPU, float32)
    seed: int = 0
    # numbers on the way: "32-true", or "bf16-mixed" where the hardware is faster with it
    precision: str = "32-true"
    # processes that read and crop pictures beside the training; 0 reads in between
    workers: int = 0
    # steps of a run that is given neither --steps nor --minutes
    steps: int = 4000

    def levels_for(self, pictures: int) -> int:
        """The resolutions of a network that so many training pictures are to teach.

        Each one doubles what a network sees of the picture. On a capture of six pictures, a network of one
        resolution gains on views held out where two and more lose, by learning whole silhouettes by heart.
        """
        return self.levels or 1 + sum(pictures >= enough for enough in (30, 200, 1000))


PRESETS = {
    "quick": Config(),
    "base": Config(preset="base", size=512, window=320, batch=8, texture_size=512, width=32, structure=0.01,
                   perceptual=0.02, adversary=0.001, workers=2, steps=20_000),
    "large": Config(preset="large", size=512, window=512, batch=8, texture_size=1024, width=48, fold=1,
                    structure=0.01, perceptual=0.02, adversary=0.001, workers=4, steps=60_000),
}


def module_of(system: str) -> ModuleType:
    """The module of a system, imported; raises ValueError for a system that there is not."""
    if system not in SYSTEMS:
        raise ValueError(f"system {quoted(system)} is unknown; use one of {', '.join(SYSTEMS)}.")
    return import_module(SYSTEMS[system][0])


def presets_of(system: str) -> dict[str, Config]:
    """A system's own presets, or where it has none those that it shares with ANR, under its name."""
    own = getattr(module_of(system), "PRESETS", None)
    return own or {name: replace(preset, system=system) for name, preset in PRESETS.items()}


def _check(name, value, wanted):
    """Raise ValueError for a setting of another type, and for numbers that no training has."""
    kinds = (int, float) if wanted is float else (wanted,)
    told = quoted(value)
    if not isinstance(value, kinds) or isinstance(value, bool) != (wanted is bool):
        raise ValueError(f"setting {name} is {told}; expected {wanted.__name__}.")
    if wanted is float and not abs(value) < LARGEST:
        raise ValueError(f"setting {name} is {told}; expected a number below {LARGEST:g}.")
    least = int(name in COUNTS)
    most = MOST_LEVELS + 1 if name in LEVELS else LARGEST_SIDE + 1 if name in SIDES else LARGEST
    if wanted is int and not least <= value < most and name != "seed":
        raise ValueError(f"setting {name} is {told}; expected at least {least}, and less than {most:g}.")


def configure(preset: str = "quick", system: str = "anr", **changes) -> Config:
    """The settings of a system's preset with some of them changed; None changes nothing.

    Raises ValueError, which names what there is, for a system, preset, setting or projection that there is
    not.
    """
    presets = presets_of(system)
    if preset not in presets:
        raise ValueError(f"preset {quoted(preset)} is unknown; use one of {', '.join(presets)}.")
    given = {name: value for name, value in changes.items() if value is not None}
    names = [field.name for field in fields(presets[preset])]
    if unknown := given.keys() - set(names):
        told = listed(name if name.isidentifier() else quoted(name) for name in sorted(unknown))
        raise ValueError(f"setting {told} is unknown; there are {', '.join(names)}.")
    for name, value in given.items():
        _check(name, value, type(getattr(presets[preset], name)))
    config = replace(presets[preset], **given)
    if config.projection not in ("perspective", "weak"):
        raise ValueError(f"projection {quoted(config.projection)} is unknown; use perspective or weak.")
    return config
