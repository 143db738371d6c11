"""What a dynamic texture mends and what it keeps still, where the truth is known: on the studio's people.

    python -m benchmarks.dynamic masks FOLDER [--subject N] [--minutes M]
    python -m benchmarks.dynamic flicker FOLDER [--subject N] [--minutes M] [--temporal W]

masks    masks are eroded, dilated and shifted, another way in each picture, and the plate shows the person as
         a ghost. After training: the learned mask's overlap with the true one beside that of the spoilt ones,
         over all training views, and the plate's PSNR where the ghost was
flicker  trained with the temporal loss and without: figures of both, whose `warp` is the error along the true
         flow less the truth's own. They are below zero where pictures have less detail than the truth; so is
         `static`'s, whose texture can't swim, and what is above that is told as well

What is in FOLDER already is used: films, and trainings that are done.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter, shift

from anr_core.avatars.run import load_avatar
from anr_core.capture import Capture, load_capture
from anr_core.capture.pictures import read_image, read_mask, write_image, write_mask
from anr_core.evaluation import evaluate, scene_for
from anr_core.prepare.studio import studio_capture
from anr_core.training import train

FPS, FRAMES, CAMERAS, SIZE = 24.0, 60, 3, 256
ERODED, SHIFTED = 4, 3  # pixels, of SIZE, at the most
SYSTEM = "dynamic-texture"


def filmed(folder: Path, subject: int) -> Capture:
    return studio_capture(folder / f"subject{subject}", subject, cameras=CAMERAS, frames=FRAMES, size=SIZE,
                          fps=FPS)


def spoilt(folder: Path, capture: Capture, seed: int = 0) -> Capture:
    """The same film with bad masks and a ghost in every plate: its first frame's person, in full."""
    out = folder / f"{capture.path.name}-spoilt"
    if out.exists():
        return load_capture(out)
    shutil.copytree(capture.path, out)
    (out / "studio.json").unlink()  # it is no studio capture any more
    random = np.random.default_rng(seed)
    for shot in capture.shots:
        mask = read_mask(capture.path / shot.mask)
        write_mask(out / shot.mask, spoil(mask, random))
    for camera, file in capture.backgrounds.items():
        first = min((shot for shot in capture.shots if shot.camera == camera), key=lambda shot: shot.frame)
        person = read_mask(capture.path / first.mask)[..., None] / 255
        plate, picture = (read_image(capture.path / name) for name in (file, first.image))
        write_image(out / file, (plate * (1 - person) + picture * person).round().astype(np.uint8))
    return load_capture(out)


def spoil(mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A mask (H, W) eroded or dilated by some pixels, then shifted."""
    side = 1 + 2 * int(random.integers(1, ERODED + 1))
    mask = (minimum_filter if random.random() < 0.5 else maximum_filter)(mask, side)
    return shift(mask, random.integers(-SHIFTED, SHIFTED + 1, 2), order=0)


def trained(capture: Capture, run: Path, minutes: float, **config) -> Path:
    for progress in train(capture, run, SYSTEM, minutes=minutes, config=config):
        if progress.step % 200 == 0:
            print(progress, flush=True)
    return run


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one > 0.5, other > 0.5
    return float((one & other).sum() / max((one | other).sum(), 1))


def masks(folder: Path, subject: int, minutes: float) -> None:
    capture = filmed(folder, subject)
    bad = spoilt(folder, capture)
    avatar = load_avatar(trained(bad, folder / f"masks{subject}", minutes))
    true, given, found = capture.split("train"), bad.split("train"), []
    size = avatar.config.size
    for right, wrong in zip(true.views(crop="body", size=size), given.views(crop="body", size=size),
                            strict=True):
        posed = bad.body(wrong.pose).on(avatar.surface)
        drawn = avatar.draw(scene_for(avatar, wrong, posed, [wrong.camera_name[0]]))
        found.append([overlap(mask[0, 0].numpy(), right.mask[0, 0].numpy())
                      for mask in (wrong.mask, drawn.mask)])
    before, after = np.mean(found, 0)
    print(f"mask IoU over {len(found)} training views: spoilt {before:.3f}, learned {after:.3f}, "
          f"{after - before:+.3f}")
    for camera in dict.fromkeys(shot.camera for shot in true.shots):
        plates = [capture.background(camera), bad.background(camera), avatar.background(camera)]
        ghost = (plates[0] - plates[1]).abs().amax(1, keepdim=True) > 0.02
        errors = [float((plate - plates[0]).square()[ghost.expand_as(plate)].mean()) for plate in plates[1:]]
        spoiled, mended = (-10 * np.log10(error) for error in errors)
        print(f"plate of {camera} where the ghost was: {spoiled:.2f} dB, learned {mended:.2f} dB, "
              f"{mended - spoiled:+.2f}")


def flicker(folder: Path, subject: int, minutes: float, temporal: float | None) -> None:
    capture, found = filmed(folder, subject), {}
    weights = {"with": {} if temporal is None else {"temporal": temporal}, "without": {"temporal": 0.0}}
    for name, config in weights.items():
        run = trained(capture, folder / f"flicker{subject}-{name}", minutes, **config)
        found[name] = evaluate(run, protocol="inside")
    for split in found["with"]:
        figures = {name: results[split]["inside"] for name, results in found.items()}
        flat = figures["with"]["mean"]["warp"]
        for figure in ("warp", "flicker", "psnr", "sharpness"):
            with_, without = (figures[name][SYSTEM][figure] for name in ("with", "without"))
            change = f"{with_ / without - 1:+.1%}" if figure != "psnr" else f"{with_ - without:+.2f} dB"
            print(f"{split:11} {figure:10} with {with_:.4f}, without {without:.4f}, {change}")
        floor = figures["with"]["static"]["warp"]
        with_, without = (figures[name][SYSTEM]["warp"] - floor for name in ("with", "without"))
        print(f"{split:11} warp above static's with {with_:.4f}, without {without:.4f}, "
              f"{with_ / without - 1:+.1%}; the truth's own change along the flow: {-flat:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["masks", "flicker"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--subject", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--temporal", type=float)
    given = parser.parse_args()
    if given.what == "masks":
        masks(given.folder, given.subject, given.minutes)
    else:
        flicker(given.folder, given.subject, given.minutes, given.temporal)


if __name__ == "__main__":
    main()
