"""Pictures on their way to disk: as videos, with alpha or without, as strips, as folders of pictures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import closing
from itertools import chain
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from tqdm import tqdm

from anr_core.avatars.run import writing
from anr_core.capture.pictures import write_image
from anr_core.telling import reason

STRIPS = ".jpg", ".png"
FOLDER = ""  # the kind of name that ends in no suffix, or in /
# A video's name tells its codec, how pixels lie in it without and with alpha, and ffmpeg's options.
CODECS = {
    # crf 18: no loss that is seen; faststart: a browser plays while it loads
    ".mp4": ("libx264", "yuv420p", None, ["-crf", "18", "-movflags", "+faststart"]),
    # -auto-alt-ref 0: pictures that are never shown can have no alpha
    ".webm": ("libvpx-vp9", "yuv420p", "yuva420p",
              ["-crf", "18", "-b:v", "0", "-auto-alt-ref", "0", "-deadline", "good", "-cpu-used", "4"]),
    ".mov": ("prores_ks", "yuv444p10le", "yuva444p10le",
             ["-profile:v", "4444", "-alpha_bits", "16", "-vendor", "apl0"]),
}
OPAQUE = ".mp4", ".jpg"


def kind_of(out: str | Path) -> str:
    """The suffix of a name in small letters; FOLDER for a folder's."""
    return FOLDER if str(out).endswith(("/", os.sep)) or Path(out).is_dir() else Path(out).suffix.lower()


def check_name(out: str | Path, transparent: bool = False) -> None:
    """Raise ValueError for a name that no pictures can be written to, or no transparent ones."""
    kind = kind_of(out)
    if kind not in (*CODECS, *STRIPS, FOLDER):
        raise ValueError(f"{out} is no name of a video; write one that ends in .mp4, .webm or .mov, in .jpg "
                         "or .png for a strip of pictures out of it, or in / for a folder of all of them.")
    if transparent and kind in OPAQUE:
        raise ValueError(f"A file in {kind} can't be transparent. Name a video in .webm (VP9) or .mov "
                         "(ProRes 4444), a strip of pictures in .png, or a folder of all of them.")
    if kind == FOLDER and Path(out).is_dir():
        _check_numbered(Path(out))


def write_pictures(out: str | Path, pictures: Iterable[np.ndarray], many: int, fps: float) -> None:
    """Write so many pictures (H, W, 3 or 4) uint8 of one size as what the name says: see `check_name`."""
    kind, out = kind_of(out), Path(out)
    if kind in STRIPS:
        write_strip(out, list(pictures))
        return
    pictures = tqdm(pictures, "drawing", many, unit=" pictures", leave=False)
    if kind == FOLDER:
        write_folder(out, pictures)
    else:
        write_video(out, pictures, fps)


def write_video(file: Path, pictures: Iterable[np.ndarray], fps: float) -> None:
    """Write pictures (H, W, 3) uint8 of one size as a video, by its name MP4, WebM or MOV; in the last two
    they may have straight alpha, (H, W, 4). The file is there as a whole, or as it was before.

    An odd row or column is doubled: codecs with colours at half resolution need even sizes.

    Raises ValueError where it can't be written; what was there is kept.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.stem}.new{file.suffix}")
    try:
        if _encode(fresh, pictures, fps) != _playable(fresh):
            raise OSError("not all of it arrived")
        os.replace(fresh, file)
    except OSError as error:
        raise ValueError(f"{file} could not be written ({reason(error)}); what was there is kept. Make room "
                         "or name another place, then draw it again.") from None
    finally:
        fresh.unlink(missing_ok=True)


def write_strip(file: Path, pictures: list[np.ndarray]) -> None:
    """Write pictures (H, W, 3 or 4) uint8 of one height side by side as one."""
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_image(file, np.concatenate(pictures, 1))


def write_folder(folder: Path, pictures: Iterable[np.ndarray]) -> None:
    """Write pictures (H, W, 3 or 4) uint8 as 0000.png, 0001.png ...; a folder of such ones is replaced.

    The folder is there as a whole, or as it was before.
    """
    fresh, old = (folder.with_name(f".{folder.name}.{word}") for word in ("new", "old"))
    try:
        for place in (fresh, old):
            shutil.rmtree(place, ignore_errors=True)
        with writing(folder):
            fresh.mkdir(parents=True)
        for index, image in enumerate(pictures):
            with writing(folder):
                write_image(fresh / f"{index:04d}.png", image)
        with writing(folder):
            if folder.is_dir():
                _check_numbered(folder)
                folder.rename(old)
            try:
                fresh.rename(folder)
            except OSError:
                if old.is_dir():
                    old.rename(folder)
                raise
    finally:
        for place in (fresh, old):
            shutil.rmtree(place, ignore_errors=True)


def _check_numbered(folder):
    """Refuse a folder that holds something else than pictures which were written there."""
    if other := next((file for file in folder.iterdir()
                      if file.suffix != ".png" or not file.stem.isdecimal()), None):
        raise ValueError(f"{folder} holds {other.name}, and would be replaced. Name another folder, or a "
                         "video in .mp4.")


def _encode(file, pictures, fps):
    """Write the pictures and return how many there were."""
    even = (np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), "edge")
            for frame in pictures)
    first = next(even)
    codec, opaque, clear, options = CODECS[file.suffix.lower()]
    given, stored = ("rgb24", opaque) if first.shape[2] == 3 else ("rgba", clear)
    writer = imageio_ffmpeg.write_frames(
        str(file), first.shape[1::-1], pix_fmt_in=given, pix_fmt_out=stored, fps=fps, codec=codec,
        quality=None, macro_block_size=1, ffmpeg_log_level="quiet", output_params=options)
    count = 0
    with closing(writer):
        writer.send(None)
        for frame in chain([first], even):
            writer.send(np.ascontiguousarray(frame))
            count += 1
    return count


def _playable(file):
    """How many pictures a player finds: ffmpeg tells nobody when the disk was full at its end."""
    try:
        return imageio_ffmpeg.count_frames_and_secs(file)[0]
    except RuntimeError:
        return 0
