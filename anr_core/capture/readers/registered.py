"""Format `registered`: pictures, masks, cameras, and one registered mesh a frame.

    cameras.json        static cameras, `cameras: {name: {K, R, t, width, height}}`, with `fps`; or one
                        camera a frame, `frames: [{name, K, R, t}]`, with `width` and `height`
    mesh.npz            or anny_registration.npz: frames (n,), vertices (n, V, 3), faces, uv, uv_faces
    frames/             CAMERA/0008.jpg, or 0008.png where a frame is its own camera
    masks/              likewise; or masks_body/, the mesh projected, whose outline is doubtful
    videos/             CAMERA.mp4, its picture n being frame n; optional
    background_median/  CAMERA.jpg, the scene without the person; optional
    keypoints/          CAMERA/0008_keypoints.json, or 0008_keypoints.json; or keypoints.npz: cameras (c,),
                        frames (n,), keypoints2d (c, n, K, 3); optional, in pixels of width x height

OpenCV's conventions, metres. K belongs to pictures of width x height; pictures of another scale scale it.
Static cameras' frames between two registered ones get a mesh in between, and its projection as mask.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from anr_core.body import Surface, make_surface
from anr_core.body.npz import names_in_npz, read_npz
from anr_core.camera import Camera
from anr_core.capture.between import meshes_between
from anr_core.capture.footage import Footage, Take
from anr_core.capture.index import check_camera_name
from anr_core.capture.readers.arrays import frame_numbers
from anr_core.capture.readers.calibration import camera_for, checked, original_of
from anr_core.capture.readers.clips import HIGHEST_RATE, numbered
from anr_core.capture.readers.openpose import alike, read_keypoint_files, read_keypoint_table
from anr_core.capture.readers.timing import ASSUMED_FPS, EVERYTHING, Span
from anr_core.capture.sources import (
    common_size,
    is_number,
    numbered_pictures,
    read_json,
    stated_licence,
    upright_axis,
    video_frames,
)
from anr_core.capture.views import DOUBT
from anr_core.telling import brief, listed, quoted, reason

ABOUT = "cameras.json beside mesh.npz or anny_registration.npz"
MESH_FILES = ("mesh.npz", "anny_registration.npz")
MEASURED_MASKS, PROJECTED_MASKS = "masks", "masks_body"

# Between registrations further apart, seconds, a person's movement can't be guessed.
LONGEST_GAP = 0.25


def recognises(source: Path) -> bool:
    """Whether a folder is of this format."""
    return any((source / name).is_file() for name in MESH_FILES)


def read(source: Path, span: Span = EVERYTHING) -> Footage:
    """Everything of a folder in this format; videos are decoded only while the takes are asked for."""
    described = read_json(source / "cameras.json")
    registered, vertices, surface = _read_meshes(source)
    stations, notes = _read_stations(source, described)
    if "fps" not in described:
        notes.append(f"cameras.json states no fps; times are counted at {ASSUMED_FPS:g} a second.")
    rate = described.get("fps", ASSUMED_FPS)
    if not (isinstance(rate, int | float) and 0 < rate < HIGHEST_RATE):
        raise ValueError(f"{source / 'cameras.json'} states {quoted(rate)} frames a second. Correct it.")
    step, (first, last) = None if span.fps is None else span.step(rate), span.bounds(rate)
    keypoints, skeleton = _read_keypoints(source, stations)
    wanted = {}
    for station in stations:
        meshed = _meshed_frames(station, registered, LONGEST_GAP * rate)
        wanted[station.name] = {frame for frame in _frames_to_take(station, registered, meshed, step)
                                if first <= frame <= last}
        notes += _shortcomings(station, registered, meshed)
    frames = np.array(sorted(set().union(*wanted.values())), np.int64)
    if not len(frames):
        asked = "" if span == EVERYTHING else " in the seconds asked for"
        raise ValueError(f"{source / 'frames'} holds no picture of the registered frames {registered[0]} to "
                         f"{registered[-1]}{asked}.")
    return Footage(
        format="registered", cameras={station.name: station.camera for station in stations},
        originals={station.name: station.original for station in stations},
        takes=(replace(take, keypoints=keypoints.get((take.camera, take.frame))) for station in stations
               for take in _takes(station, wanted[station.name], registered)),
        frames=frames, vertices=meshes_between(registered, vertices, frames), surface=surface,
        fps=float(rate), up=upright_axis([station.camera for station in stations]),
        backgrounds={station.name: station.background for station in stations if station.background},
        notes=notes, keypoints=skeleton, **stated_licence(source))


# meshes

def _read_meshes(source: Path) -> tuple[np.ndarray, np.ndarray, Surface]:
    """Registered frames (n,), rising, their vertices (n, V, 3), and the surface."""
    file = next((source / name for name in MESH_FILES if (source / name).is_file()), None)
    if file is None:
        raise FileNotFoundError(f"{source} has no {' or '.join(MESH_FILES)}, the mesh of every frame.")
    arrays = read_npz(file, only=("frames", "vertices", "faces", "uv", "uv_faces"))
    if missing := [name for name in ("frames", "vertices", "faces") if name not in arrays]:
        raise ValueError(f"{file} has no {', '.join(missing)}; it holds {listed(names_in_npz(file))}.")
    frames, vertices = frame_numbers(arrays["frames"], f"{file}: frames"), arrays["vertices"]
    if not len(frames) or vertices.ndim != 3 or vertices.shape[::2] != (len(frames), 3) or \
            vertices.dtype.kind != "f":
        raise ValueError(f"{file}: frames {frames.shape} and vertices {brief(vertices.shape)} of "
                         f"{brief(vertices.dtype)} don't belong together. Expected (n,) and (n, V, 3) in "
                         "metres.")
    vertices = vertices.astype(np.float32)
    order = frames.argsort()
    frames, vertices = frames[order], vertices[order]
    if len(twice := frames[1:][np.diff(frames) == 0]):
        raise ValueError(f"{file}: frame {twice[0]} is registered twice. Keep one mesh a frame.")
    for frame, mesh in zip(frames, vertices, strict=True):
        if broken := int((~np.isfinite(mesh).all(1)).sum()):
            raise ValueError(f"{file}: {broken} of {len(mesh)} vertices of frame {frame} are NaN or "
                             "infinite. Register that frame again, or take it out.")
    try:
        surface = make_surface(vertices[0], arrays["faces"], arrays.get("uv"), arrays.get("uv_faces"))
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{file}: {reason(error)}") from None
    return frames, vertices, surface


# cameras and their pictures

@dataclass(frozen=True)
class _Station:
    """One camera and what it took, files by frame number; static if it stands still over many frames."""

    name: str
    camera: Camera
    original: dict
    pictures: dict[int, Path]
    masks: dict[int, Path]
    mask_doubt: float
    video: Path
    background: Path | None
    static: bool


def _read_stations(source: Path, described) -> tuple[list[_Station], list[str]]:
    """The cameras that have pictures, and notes on those that have none."""
    file = source / "cameras.json"
    measured = (source / MEASURED_MASKS).is_dir()
    pictures, masks = source / "frames", source / (MEASURED_MASKS if measured else PROJECTED_MASKS)
    entries = _entries(described, file)
    pictures_of, masks_of = _files_by_camera(pictures, entries), _files_by_camera(masks, entries)
    stations, notes = [], []
    for name, entry, static in entries:
        own_pictures, own_masks = pictures_of[name], masks_of[name]
        if hole := _hole(own_pictures, own_masks, static):
            raise FileNotFoundError(f"{hole} is the mask of a picture that is not in {pictures}. Put "
                                    "the picture back, or remove the mask.")
        if not own_pictures:
            notes.append(f"{name} has no pictures and is left out.")
            continue
        camera, told, original = _read_camera({**described, **entry}, name, [*own_pictures.values()], file)
        notes += told
        background = source / "background_median" / f"{name}.jpg"
        stations.append(_Station(name, camera, original, own_pictures, own_masks,
                                 0.0 if measured else DOUBT * max(camera.size),
                                 source / "videos" / f"{name}.mp4",
                                 background if background.is_file() else None, static))
    if not stations:
        raise FileNotFoundError(f"{pictures} holds no picture of any camera in {file}. They belong into "
                                "frames/CAMERA/0008.jpg, or frames/0008.png where a frame is its own camera.")
    if "cameras" not in described:  # one recording: a frame of another size is damaged, not another camera
        common_size([picture for station in stations for picture in station.pictures.values()])
    return stations, notes


def _entries(described, file):
    """Each camera's name, its description, and whether it is static."""
    found = described if isinstance(described, dict) else {}
    cameras, frames = found.get("cameras", {}), found.get("frames", [])
    static = cameras.items() if isinstance(cameras, dict) else ()
    moving = frames if isinstance(frames, list) else ()
    entries = [(str(name), entry, True) for name, entry in static] or \
        [(str(entry.get("name")), entry, False) for entry in moving if isinstance(entry, dict)]
    if not entries or not all(isinstance(entry, dict) for _, entry, _ in entries):
        raise ValueError(f"{file} describes no cameras. Expected `cameras: {{name: {{K, R, t, width, "
                         "height}}`, or `frames: [{name, K, R, t}]` with width and height.")
    for name, _, static in entries:
        if static:
            check_camera_name(name, file)
    names = [name for name, _, static in entries if not static]
    times = Counter(names)
    for name in names:
        if not is_number(name) or times[name] > 1:
            raise ValueError(f"{file}: frame {quoted(name)} "
                             f"{'occurs twice' if is_number(name) else 'is not named by its number'}.")
    return entries


def _files_by_camera(folder, entries):
    """The pictures or masks of each camera by frame number."""
    flat = numbered_pictures(folder)  # where each frame is its own camera
    return {name: numbered_pictures(folder / name) if static else
            {int(name): flat[int(name)]} if int(name) in flat else {} for name, _, static in entries}


def _hole(pictures, masks, static):
    """A mask whose picture got lost; those before and after all pictures are of frames that were left out."""
    lost = set(masks) - set(pictures)
    if static:
        lost = {frame for frame in lost if pictures and min(pictures) < frame < max(pictures)}
    return masks[min(lost)] if lost else None


def _read_camera(entry: dict, name: str, pictures: list[Path], file: Path) -> tuple[Camera, list[str], dict]:
    """A camera at its pictures' size, notes on that, and the source's own K, distortion and size."""
    if missing := [key for key in ("K", "R", "t", "width", "height") if key not in entry]:
        raise ValueError(f"{file}: camera {brief(name)} has no {', '.join(missing)}.")
    lens = entry.get("distortion", entry.get("dist", []))
    calibration = checked(name, file, *(entry[key] for key in "KRt"), lens, (entry["height"], entry["width"]))
    size = common_size(pictures)
    return *camera_for(calibration, name, size), original_of(calibration, size)


def _read_keypoints(source: Path, stations: list[_Station]):
    """Points (K, 3) by camera and frame, in pixels of the pictures as they are here, and their skeleton."""
    table, folder = source / "keypoints.npz", source / "keypoints"
    full = {station.name: tuple(station.original["size"]) for station in stations}
    if table.is_file():
        by_camera, skeleton = read_keypoint_table(table)
    elif flat := numbered(folder, (".json",)):
        points, skeleton = read_keypoint_files(flat, stations[0].camera.size)
        by_camera = {station.name: points for station in stations}
    elif files := {name: found for name in full if (found := numbered(folder / name, (".json",)))}:
        read = alike([read_keypoint_files(found, full[name]) for name, found in files.items()])
        by_camera = {name: points for name, (points, _) in zip(files, read, strict=True)}
        skeleton = read[0][1]
    else:
        return {}, None
    found = {}
    for station in stations:
        scale = np.float32([*(np.array(station.camera.size) / full[station.name])[::-1], 1])
        for frame, points in by_camera.get(station.name, {}).items():
            found[station.name, frame] = points * scale
    return found, skeleton


# what to take

def _meshed_frames(station: _Station, registered: np.ndarray, longest_gap: float) -> set[int]:
    """Frames that are registered or, for a static camera, lie in a gap that can be bridged."""
    meshed = set(registered.tolist())
    for before, after in zip(registered[:-1], registered[1:], strict=True):
        if station.static and after - before <= longest_gap:
            meshed.update(range(before, after))
    return meshed


def _frames_to_take(station: _Station, registered: np.ndarray, meshed: set[int],
                    step: int | None) -> set[int]:
    """Frames with a mesh that a camera has a picture of; with a step, the registered and every step-th."""
    fitted = set(registered.tolist())
    pictured = meshed & set(station.pictures)
    if step is None:
        return pictured
    every = {frame for frame in meshed if frame % step == 0}
    return (pictured & fitted) | (every if station.video.is_file() else every & pictured)


def _shortcomings(station: _Station, registered: np.ndarray, meshed: set[int]) -> list[str]:
    beyond = len(set(station.pictures) - meshed)
    missing = len(set(registered.tolist()) - set(station.pictures)) if station.static else 0
    return [f"{station.name}: {note}" for count, note in (
        (beyond, f"{beyond} pictures have no mesh and are left out."),
        (missing, f"{missing} of {len(registered)} registered frames have no picture."),
        (not station.masks, "there are no masks, so the registered mesh is projected."),
    ) if count]


def _takes(station: _Station, frames: set[int], registered: np.ndarray) -> Iterator[Take]:
    fitted = set(registered.tolist())
    for frame, image in _images(station, frames):
        mask = station.masks.get(frame)
        if mask is None and station.masks and frame in fitted & set(station.pictures):
            folder = next(iter(station.masks.values())).parent
            raise FileNotFoundError(f"{folder / f'{frame:04d}.png'} is missing, the mask of a registered "
                                    "frame. Put it back, or remove the picture as well.")
        yield Take(station.name, frame, image, mask, station.mask_doubt, frame in fitted)


def _images(station, frames):
    """Each frame's picture: its file, or out of the video."""
    yield from ((frame, station.pictures[frame]) for frame in sorted(frames & set(station.pictures)))
    if missing := frames - set(station.pictures):
        yield from ((frame, image) for frame, image in video_frames(station.video, station.pictures)
                    if frame in missing)
