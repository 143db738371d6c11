"""Pairs of pictures with no body behind: faces of a few shapes on a plain ground, and what they stand for."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIZE = (48, 40)  # height, width


def draw_pair(number, size=SIZE, finer=4):
    """A grey face that looks around, and the same in colours and a hat: two pictures (H, W, 3) uint8."""
    height, width = (finer * side for side in size)
    across, up = 0.18 * np.sin(0.7 * number), 0.10 * np.cos(1.1 * number)
    pages = [Image.new("RGB", (width, height), "white") for _ in range(2)]
    given, wanted = (ImageDraw.Draw(page) for page in pages)

    def spot(draw, x, y, radius, fill, tall=1.0):
        x, y, r = (0.5 + x) * width, (0.5 + y) * height, radius * height
        draw.ellipse([x - r, y - tall * r, x + r, y + tall * r], fill)

    for draw, skin, eye, mouth in ((given, "#909090", "#505050", "#606060"),
                                   (wanted, "#d09870", "#2040a0", "#b03040")):
        spot(draw, across / 2, up / 2, 0.30, skin, 1.2)
        for side in (-0.14, 0.14):
            spot(draw, across + side, up - 0.04, 0.045, eye)
        spot(draw, across, up + 0.15, 0.07, mouth, 0.5)
    spot(wanted, across / 2, up / 2 - 0.32, 0.22, "#207040", 0.5)
    return [np.asarray(page.resize((size[1], size[0]), Image.Resampling.BOX)) for page in pages]


def write_pairs(folder, train=8, validation=2, test=3, size=SIZE, unknown=1):
    """SMPLpix's folders of pairs; the last of test have no output."""
    number = 0
    for split, count in (("train", train), ("validation", validation), ("test", test)):
        for place in range(count):
            given, wanted = draw_pair(number, size)
            for kind, pixels in (("input", given), ("output", wanted)):
                if kind == "output" and split == "test" and place >= count - unknown:
                    continue
                file = Path(folder, split, kind, f"{number:05d}.png")
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(file)
            number += 1
    return Path(folder)
