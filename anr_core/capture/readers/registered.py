"""Format `registered`: pictures, masks, cameras, and one registered mesh a frame.

    cameras.json         static cameras, `cameras: {name: {K, R, t, width, height}}`, with `fps`; or one camera
                         a frame, `frames: [{name, K, R, t}]`, with `width` and `height`
    mesh.npz             or anny_registration.npz: frames (n,), vertices (n, V, 3), faces, and uv and uv_faces
    frames/              CAMERA/0008.jpg, or 0008.png where a frame is its own camera
    masks/               likewise; or masks_body/, which is the mesh projected, so that its outline is doubtful
    videos/              CAMERA.mp4, picture n of it being frame n; optional
    background_median/   CAMERA.jpg, the scene without the person; optional

OpenCV's conventions, metres. K belongs to pictures of width x height; pictures that are smaller or larger scale it.
Frames between two registered ones get a mesh in between (`meshes_between`), and its projection as mask.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import imageio.v3 as iio
import numpy as np
import torch

from anr_core.body import make_surface
from anr_core.camera import Camera
from anr_core.capture.between import meshes_between
from anr_core.capture.footage import Footage, Take
from anr_core.capture.pictures import picture_size, read_image

ABOUT = "cameras.json beside mesh.npz or anny_registration.npz"
MESH_FILES = ("mesh.npz", "anny_registration.npz")
MASK_FOLDERS = ("masks", "masks_body")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")

# A body's projection misses clothes by up to this part of the picture's longer side: 8 of 960 pixels.
DOUBT = 8 / 960
ASSUMED_FPS = 30.0

# Between registrations further apart, seconds, a person's movement can't be guessed.
LONGEST_GAP = 0.25


def recognises(source: Path) -> bool:
    return any((source / name).is_file() for name in MESH_FILES)


@dataclass(frozen=True)
class _Station:
    """One camera and what it took: files by frame number; static if it stands still over many frames."""

    name: str
    camera: Camera
    original: dict
    pictures: dict[int, Path]
    masks: dict[int, Path]
    video: Path | None
    background: Path | None
    static: bool


def read(source: Path, fps: float | None = None, start: float | None = None, end: float | None = None) -> Footage:
    """Everything of a folder in this format; videos are decoded only while the takes are asked for."""
    described = _read_json(source / "cameras.json")
    registered, vertices, surface = _read_meshes(source)
    stations, notes = _read_stations(source, described)
    rate = float(described.get("fps") or ASSUMED_FPS)
    if "fps" not in described:
        notes.append(f"cameras.json states no fps; times are counted at {ASSUMED_FPS:g} a second.")
    first = registered[0] if start is None else max(registered[0], np.ceil(start * rate))
    last = registered[-1] if end is None else min(registered[-1], np.floor(end * rate))
    step = None if fps is None else max(1, round(rate / fps))

    wanted = {}
    for station in stations:
        wanted[station.name] = _wanted_frames(station, registered, rate, first, last, step)
        if beyond := sum(not registered[0] <= frame <= registered[-1] for frame in station.pictures):
            notes.append(f"{station.name}: {beyond} pictures lie outside of the registered frames and are left out.")
        if station.static and (gaps := set(registered.tolist()) - set(station.pictures)):
            notes.append(f"{station.name} has no picture of {len(gaps)} of {len(registered)} registered frames.")
        if not station.masks:
            notes.append(f"{station.name} has no masks; the registered mesh is projected instead.")
    frames = np.array(sorted(set().union(*wanted.values())), np.int64)
    if not len(frames):
        raise ValueError(f"No picture in {source / 'frames'} lies within the registered frames {registered[0]} to "
                         f"{registered[-1]}{'' if start is None and end is None else ' and the seconds asked for'}.")
    licence_file = next(iter(sorted(source.glob("LICENSE*"))), None)
    return Footage(
        format="registered",
        cameras={station.name: station.camera for station in stations},
        originals={station.name: station.original for station in stations},
        takes=(take for station in stations for take in _takes(station, wanted[station.name], registered)),
        frames=frames,
        vertices=meshes_between(registered, vertices, frames),
        surface=surface,
        fps=rate,
        up=_up(stations),
        licence=f"stated in {licence_file.name}" if licence_file else "not stated",
        licence_file=licence_file,
        backgrounds={station.name: station.background for station in stations if station.background},
        notes=notes,
    )


def _read_json(file):
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; format registered needs it beside {' or '.join(MESH_FILES)}.")
    try:
        described = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not whole JSON ({error}). Copy it from its source again.") from None
    if not isinstance(described, dict) or not (described.get("cameras") or described.get("frames")):
        raise ValueError(f"{file} names neither `cameras` nor `frames`; it needs `cameras: {{name: {{K, R, t, width, "
                         "height}}}}` or `frames: [{{name, K, R, t}}]`.")
    return described


def _read_meshes(source):
    """Registered frames (n,), rising, their vertices (n, V, 3), and the surface."""
    file = next((source / name for name in MESH_FILES if (source / name).is_file()), None)
    if file is None:
        raise FileNotFoundError(f"{source} has no {' or '.join(MESH_FILES)}; format registered needs one mesh a frame.")
    try:
        with np.load(file) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise ValueError(f"{file} can't be read ({error}). Copy it from its source again.") from None
    if missing := [name for name in ("frames", "vertices", "faces") if name not in arrays]:
        raise ValueError(f"{file} has no {', '.join(missing)}; it holds {', '.join(arrays) or 'nothing'}.")
    frames, vertices = arrays["frames"].astype(np.int64), arrays["vertices"].astype(np.float32)
    if frames.ndim != 1 or len(frames) == 0 or vertices.ndim != 3 or vertices.shape[::2] != (len(frames), 3):
        raise ValueError(f"{file}: frames {frames.shape} and vertices {vertices.shape} don't belong together; "
                         "expected (n,) and (n, V, 3).")
    if len(repeated := frames[:-1][np.diff(np.sort(frames)) == 0]):
        raise ValueError(f"{file}: {len(repeated)} frame numbers occur twice; keep one mesh a frame.")
    for frame, mesh in zip(frames, vertices, strict=True):
        if broken := int((~np.isfinite(mesh).all(1)).sum()):
            raise ValueError(f"{file}: {broken} of {len(mesh)} vertices of frame {frame} are not finite numbers. "
                             "Register that frame again, or take it out.")
    order = frames.argsort()
    try:
        surface = make_surface(vertices[order[0]], arrays["faces"], arrays.get("uv"), arrays.get("uv_faces"))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    return frames[order], vertices[order], surface


def _read_stations(source, described):
    """The cameras that have pictures, and notes on those that have none."""
    mask_folder = source / next((name for name in MASK_FOLDERS if (source / name).is_dir()), MASK_FOLDERS[0])
    if "cameras" in described:
        entries = described["cameras"]
        pictures = {name: _numbered(source / "frames" / name) for name in entries}
        masks = {name: _numbered(mask_folder / name) for name in entries}
    else:
        entries = _entries_by_name(described["frames"], source)
        pictures = _own_picture(entries, source / "frames")
        masks = _own_picture(entries, mask_folder)
    stations, notes = [], []
    for name, entry in entries.items():
        if orphans := sorted(set(masks[name]) - set(pictures[name])):
            raise FileNotFoundError(f"{masks[name][orphans[0]]} has no picture in {source / 'frames'}. Put the picture "
                                    "of that frame back, or remove the mask.")
        if not pictures[name]:
            notes.append(f"{name} has no pictures and is left out.")
            continue
        camera, original = _read_camera({**described, **entry}, name, pictures[name], source / "cameras.json")
        stations.append(_Station(name, camera, original, pictures[name], masks[name],
                                 _existing(source / "videos" / f"{name}.mp4"),
                                 _existing(source / "background_median" / f"{name}.jpg"),
                                 "cameras" in described))
    if not stations:
        raise FileNotFoundError(f"{source / 'frames'} holds no picture of any camera in cameras.json "
                                f"({', '.join(entries)}).")
    if "frames" in described and len(sizes := {station.camera.size for station in stations}) > 1:
        raise ValueError(f"The pictures in {source / 'frames'} have {len(sizes)} sizes: "
                         f"{', '.join(f'{width}x{height}' for height, width in sorted(sizes))}. They need one.")
    return stations, notes


def _existing(file):
    return file if file.is_file() else None


def _entries_by_name(entries, source):
    names = [str(entry.get("name")) for entry in entries]
    for name in names:
        if not name.isdigit() or names.count(name) > 1:
            raise ValueError(f"{source / 'cameras.json'}: frame {name!r} "
                             f"{'occurs twice' if name.isdigit() else 'is not named by its frame number'}.")
    return dict(zip(names, entries, strict=True))


def _own_picture(entries, folder):
    """For each entry the one picture of its own number, by frame number."""
    numbered = _numbered(folder)
    return {name: {frame: numbered[frame] for frame in [int(name)] if frame in numbered} for name in entries}


def _numbered(folder):
    """The pictures of a folder by the number that is their name; none where there is no folder."""
    numbered = {}
    for file in sorted(folder.glob("*")):
        if file.suffix.lower() not in PICTURE_SUFFIXES:
            continue
        if not file.stem.isdigit():
            raise ValueError(f"{file} is not named by its frame number, as in 0008{file.suffix}.")
        if (other := numbered.setdefault(int(file.stem), file)) != file:
            raise ValueError(f"{file} and {other.name} are both frame {int(file.stem)}; keep one.")
    return numbered


def _read_camera(entry, name, pictures, file):
    """The camera of one station at its pictures' size, and what the source said of it."""
    if missing := [key for key in ("K", "R", "t", "width", "height") if key not in entry]:
        raise ValueError(f"{file}: camera {name} has no {', '.join(missing)}.")
    try:
        K, R, t = (np.array(entry[key], np.float64).reshape(shape)
                   for key, shape in (("K", (3, 3)), ("R", (3, 3)), ("t", (3,))))
        lens = np.array(entry.get("distortion", entry.get("dist", [])), np.float64).reshape(-1)
        full = int(entry["height"]), int(entry["width"])
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file}: camera {name} is not made of numbers: K (3, 3), R (3, 3), t (3), width and "
                         f"height ({error}).") from None
    if not (np.isfinite(K).all() and np.isfinite(t).all() and K[0, 0] > 0 and K[1, 1] > 0):
        raise ValueError(f"{file}: camera {name} needs finite K and t, and positive focal lengths.")
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-3) or np.linalg.det(R) < 0:
        raise ValueError(f"{file}: R of camera {name} is no rotation (R R^T is not 1, or it mirrors).")
    size = _common_size(pictures, name)
    scale = np.array([size[1] / full[1], size[0] / full[0]])
    if abs(scale[0] - scale[1]) * max(size) > 1.5:  # pixels: sizes are rounded when pictures are made smaller
        raise ValueError(f"{next(iter(pictures.values()))} is {size[1]}x{size[0]} pixels, which is no scaled "
                         f"{full[1]}x{full[0]}, the size that {file.name} gives camera {name}.")
    original = {"K": K.tolist(), "distortion": lens.tolist(), "size": list(full)}
    K = np.diag([*scale, 1.0]) @ K
    K, R, t, lens = (torch.tensor(value, dtype=torch.float32)[None] for value in (K, R, t, lens))
    return Camera(K, R, t, lens if lens.any() else None, size=size), original


def _common_size(pictures, name):
    """(H, W) of all pictures of a camera, from their headers."""
    sizes = {file: picture_size(file) for file in pictures.values()}
    common = max(set(sizes.values()), key=list(sizes.values()).count)
    for file, size in sizes.items():
        if size != common:
            raise ValueError(f"{file} is {size[1]}x{size[0]} pixels, but the other pictures of {name} are "
                             f"{common[1]}x{common[0]}. All pictures of a camera need one size.")
    return common


def _up(stations):
    """The world's axis, with its sign, that is upwards in the pictures: people hold cameras upright."""
    upwards = -torch.cat([station.camera.R[:, 1] for station in stations]).mean(0)
    axis = int(upwards.abs().argmax())
    return tuple(float(upwards[axis].sign()) if i == axis else 0.0 for i in range(3))


def _wanted_frames(station, registered, rate, first, last, step):
    """Frames to take from a camera: those it has pictures of, and every step-th where its video has them."""
    near = _near_registrations(registered, LONGEST_GAP * rate if station.static else 0)
    frames = near & set(station.pictures)
    if step is not None:
        grid = near & set(range(0, int(last) + 1, step))
        frames = frames & (grid | set(registered.tolist())) | (grid if station.video else set())
    return {frame for frame in frames if first <= frame <= last}


def _near_registrations(registered, longest_gap):
    """Frame numbers that are registered, or lie between two registered ones that are not too far apart."""
    near = set(registered.tolist())
    for before, after in zip(registered[:-1], registered[1:], strict=True):
        if after - before <= longest_gap:
            near.update(range(before, after))
    return near


def _takes(station, frames, registered) -> Iterator[Take]:
    doubt = DOUBT * max(station.camera.size)
    fitted = set(registered.tolist())
    for frame, image in _images(station, frames):
        mask = station.masks.get(frame)
        if mask is None and station.masks and frame in fitted:
            known = next(iter(station.masks.values())).parent
            raise FileNotFoundError(f"{known} has no mask of frame {frame} of camera {station.name}. Put it back, or "
                                    "remove the picture of that frame.")
        measured = mask is not None and mask.parts[-2 if not station.static else -3] == "masks"
        yield Take(station.name, frame, image, mask, 0.0 if measured else doubt, frame in fitted)


def _images(station, frames):
    """Each frame's picture: its file, or out of the video."""
    yield from ((frame, station.pictures[frame]) for frame in sorted(frames & set(station.pictures)))
    if missing := frames - set(station.pictures):
        _check_video_counts_alike(station)
        for frame, image in enumerate(iio.imiter(station.video, plugin="FFMPEG")):
            if frame in missing:
                yield frame, image


def _check_video_counts_alike(station):
    """Raise where the video's n-th picture is not frame n: it must resemble it more than frames nearby.

    Compared on a quarter of the pixels each way, with the first 16 pictures there are.
    """
    pictures = {frame: read_image(file)[::4, ::4].astype(np.int16)
                for frame, file in sorted(station.pictures.items())[:16]}
    difference = {shift: [] for shift in (0, 1, -1, 2, -2, 3, -3, 4, -4)}  # of equals, the first wins
    try:
        for index, image in enumerate(iio.imiter(station.video, plugin="FFMPEG")):
            for shift, found in difference.items():
                if index - shift in pictures:
                    found.append(np.abs(image[::4, ::4] - pictures[index - shift]).mean())
    except (OSError, ValueError) as error:
        raise ValueError(f"{station.video} can't be read ({str(error).splitlines()[0]}).") from None
    shift = min(difference, key=lambda shift: np.mean(difference[shift] or np.inf))
    if shift:
        raise ValueError(f"{station.video}: its picture {shift} looks like frame 0, and so on. Cut it so that picture n "
                         "is frame n, or leave --fps away to use the pictures alone.")
