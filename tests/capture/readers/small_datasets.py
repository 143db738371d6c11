"""The small made-up person in the layouts of published datasets.

Keypoints are made up and so unsure, 0.1, that no check believes them.
"""

import io
import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import roma
import torch
from PIL import Image

from anr_core.camera import Camera
from anr_core.capture import Capture
from anr_core.rasterizer import rasterize
from tests.small_capture import cameras, clothing, film, posed_vertices, save, stage, surface

SIZE = (96, 64)


@dataclass(frozen=True)
class Filmed:
    """Vertices (V, 3) and, by camera, picture (3, H, W) and coverage (H, W) of one frame."""

    vertices: torch.Tensor
    views: list[tuple[torch.Tensor, torch.Tensor]]


def filmed(frames: int, among: list[Camera]) -> list[Filmed]:
    person, texture = surface(), clothing(0)
    meshes = [posed_vertices(frame / max(frames, 1)) for frame in range(frames)]
    return [Filmed(mesh, [film(mesh, person, texture, camera, stage(index, camera.size))
                          for index, camera in enumerate(among)]) for mesh in meshes]


def standing_cameras(count: int = 2) -> list[Camera]:
    return cameras(count, SIZE)


def agreement(capture: Capture) -> float:
    """The worst intersection over union of a mask and the mesh's projection."""
    found = []
    for view in capture.views():
        vertices, faces = capture.body(view.pose).vertices, capture.body.surface.faces
        covered, mask = rasterize(vertices, faces, view.camera, view.size).face_id >= 0, view.mask[:, 0] > 0.5
        found.append(float((covered & mask).sum() / (covered | mask).sum()))
    return min(found)


def make_zju(folder: Path, count: int = 2, frames: int = 3, odd: bool = False, faces: bool = True,
             numbers: tuple[int, ...] = ()) -> None:
    """ZJU-MoCap; odd as 313 and 315 number and name their files, or numbered as told."""
    stood = standing_cameras(count)
    rows = []
    for frame, shown in enumerate(filmed(len(numbers) or frames, stood)):
        number, paths = numbers[frame] if numbers else frame + odd, []
        for view, (picture, coverage) in enumerate(shown.views):
            one = view + 1
            name = f"Camera ({one})/CoreView_313_Camera_({one})_{number:04d}_2019-08-23_16-08-50.592" \
                if odd else f"Camera_B{one}/{number:06d}"
            save(folder / f"{name}.jpg", picture)
            save(folder / "mask_cihp" / f"{name}.png", (coverage > 0.5) * 13 / 255)  # a part's label
            paths.append(f"{name}.jpg")
        rows.append({"ims": paths, "kpts2d": np.tile([frame + 0.5, 7, 0.1], (count, 25, 1))})
        for sub, content in (("vertices", shown.vertices.numpy().astype(np.float32)),
                             ("params", {"poses": np.zeros((1, 72)), "shapes": np.full((1, 10), 0.5),
                                         "Rh": np.full((1, 3), 0.1), "Th": np.full((1, 3), frame)})):
            (folder / sub).mkdir(exist_ok=True)
            np.save(folder / sub / f"{number}.npy", content, allow_pickle=True)
    cams = {"K": [c.K[0].double().numpy() for c in stood], "R": [c.R[0].double().numpy() for c in stood],
            "T": [1000 * c.t[0].double().numpy()[:, None] for c in stood], "D": [np.zeros((5, 1))] * count}
    np.save(folder / "annots.npy", {"cams": cams, "ims": np.array(rows)}, allow_pickle=True)
    if faces:
        (folder / "lbs").mkdir()
        np.save(folder / "lbs" / "faces.npy", surface().faces.numpy().astype(np.int32))


def video(file: Path, pictures: list[torch.Tensor], fps: float) -> None:
    """A film of pictures (3, H, W)."""
    frames = [(picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy() for picture in pictures]
    iio.imwrite(file, np.stack(frames), plugin="FFMPEG", fps=fps, codec="libx264", macro_block_size=1,
                output_params=["-crf", "12"], ffmpeg_log_level="error")


def make_people_snapshot(folder: Path, frames: int = 4, cut: int = 1) -> np.ndarray:
    """People-Snapshot; returns (frames, 75), poses and trans; `cut` more stand before."""
    import h5py

    folder.mkdir(parents=True)
    camera = standing_cameras(1)[0]
    shown = [one.views[0] for one in filmed(frames, [camera])]
    video(folder / f"{folder.name}.mp4", [picture for picture, _ in shown], 25)
    with h5py.File(folder / "masks.hdf5", "w") as out:
        masks = np.stack([(coverage > 0.5).numpy() for _, coverage in shown]).astype(np.uint8)
        out.create_dataset("masks", data=masks, chunks=True, compression="lzf")
    random = np.random.default_rng(0)
    poses, trans = random.normal(size=(frames + cut, 72)) * 0.3, random.normal(size=(frames + cut, 3))
    with h5py.File(folder / "reconstructed_poses.hdf5", "w") as out:
        out["pose"], out["trans"], out["betas"] = poses.astype("f"), trans.astype("f"), np.linspace(-1, 1, 10)
    with h5py.File(folder / "keypoints.hdf5", "w") as out:
        points = np.arange(frames * 54.0).reshape(frames, 18, 3)
        points[..., 2] = 0.1
        out["keypoints"] = points.reshape(frames, 54)
    K = camera.K[0].double().numpy()
    record = {"camera_f": K[[0, 1], [0, 1]], "camera_c": K[:2, 2], "camera_k": np.zeros(5),
              "camera_rt": np.zeros(3), "camera_t": np.zeros(3), "width": SIZE[1], "height": SIZE[0]}
    (folder / "camera.pkl").write_bytes(pickle.dumps(record, 2))
    return np.concatenate([poses, trans], 1)[cut:]


def make_neuman(folder: Path, frames: int = 4, unit: float = 2.5, verts: bool = True) -> None:
    """NeuMan, each frame of another camera, in a world whose unit of length is 1 / `unit` metres."""
    moved = standing_cameras(frames)
    random = torch.Generator().manual_seed(0)
    lines, alignments, meshes = [], {}, []
    for frame, camera in enumerate(moved):
        shown = filmed(frames, [camera])[frame]
        picture, coverage = shown.views[0]
        name = f"{frame:05d}.png"
        save(folder / "images" / name, picture)
        save(folder / "segmentations" / name, (coverage <= 0.5).float())  # 255 where the person is not
        turn = torch.linalg.qr(torch.randn(3, 3, generator=random))[0]
        turn = turn * turn.det().sign()
        shift = torch.randn(3, generator=random)
        meshes.append(((shown.vertices * unit - shift) @ (unit * turn).inverse()).numpy())
        alignments[name] = torch.cat([unit * turn, shift[None]]).double().numpy()
        x, y, z, w = roma.rotmat_to_unitquat(camera.R[0].double()).tolist()
        words = [frame + 1, w, x, y, z, *(unit * camera.t[0]).tolist(), 1, name]
        lines += [" ".join(map(str, words)), "10.5 20.5 -1"]
        points = np.zeros((17, 3))
        points[:] = frame, 2, 0.1
        (folder / "keypoints").mkdir(exist_ok=True)
        np.save(folder / "keypoints" / f"{name}.npy", points)
    K = camera.K[0]
    (folder / "sparse").mkdir()
    (folder / "sparse" / "images.txt").write_text("# Image list with two lines of data per image:\n"
                                                  + "\n".join(lines) + "\n")
    parameters = SIZE[1], SIZE[0], *K[[0, 1, 0, 1], [0, 1, 2, 2]].tolist()
    (folder / "sparse" / "cameras.txt").write_text("# Camera list\n1 PINHOLE "
                                                   + " ".join(map(str, parameters)) + "\n")
    np.save(folder / "alignments.npy", alignments, allow_pickle=True)
    person = {"pose": [np.full(72, 0.01 * frame, "f") for frame in range(frames)],
              "betas": [np.zeros(10)] * frames}
    (folder / "smpl_output_optimized.pkl").write_bytes(pickle.dumps({1: person}, 4))
    if verts:
        person["verts"] = np.stack(meshes)
        (folder / "smpl_output_romp.pkl").write_bytes(pickle.dumps({1: person}, 4))
    for name, members in (("train", (0, 1)), ("val", (2,)), ("test", (3,))):
        (folder / f"{name}_split.txt").write_text("".join(f"{frame:05d}.png\n" for frame in members))
    (folder / "lbs").mkdir()
    np.save(folder / "lbs" / "faces.npy", surface().faces.numpy())


def write_lmdb(path: Path, entries: dict[int, bytes], protocol: int = 4) -> None:
    """A database as HumanViewSynthesis keeps them."""
    import lmdb

    path.parent.mkdir(parents=True, exist_ok=True)
    with lmdb.open(str(path), map_size=2**24, sync=False) as opened, opened.begin(write=True) as transaction:
        transaction.put(b"protocol", pickle.dumps(protocol))
        transaction.put(pickle.dumps("keys", protocol), pickle.dumps(list(entries), protocol))
        for frame, value in entries.items():
            transaction.put(pickle.dumps(frame, protocol), value)


def encoded(picture: torch.Tensor, mode: str) -> bytes:
    array = (picture.clamp(0, 1) * 255).round().byte().numpy()
    buffer = io.BytesIO()
    Image.fromarray(array if array.ndim == 2 else array.transpose(1, 2, 0)).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


def make_human_view(folder: Path, frames: int = 3, count: int = 2, panoptic: bool = False) -> None:
    """HumanViewSynthesis's databases of Human3.6M, or of Panoptic."""
    stood, described = standing_cameras(count), {}
    shown, root = filmed(frames, stood), folder / "Databases"
    joints, detector = (135, "BODY_135") if panoptic else (17, "CPN")
    for view, camera in enumerate(stood):
        name = f"{view:02d}"
        described[name] = {"R": camera.R[0].tolist(), "t": camera.t[0][:, None].tolist(),
                           "K": camera.K[0].tolist(), "dist_coef": [[0.0]] * 5,
                           "resolution": [[SIZE[1]], [SIZE[0]]]}
        points = torch.arange(joints)[:, None, None] + torch.zeros(joints, 2 + panoptic, 1)
        if panoptic:
            points[:, 2] = 0.1
        views = dict(enumerate(one.views[view] for one in shown))
        write_lmdb(root / "Images" / f"{name}.lmdb",
                   {frame: encoded(picture, "RGB") for frame, (picture, _) in views.items()})
        write_lmdb(root / "Masks" / "SOLO" / f"{name}.lmdb",
                   {frame: encoded((coverage > 0.5).float(), "1") for frame, (_, coverage) in views.items()})
        write_lmdb(root / "Poses" / "2D" / detector / f"{name}.lmdb",
                   {frame: pickle.dumps(points.clone()) for frame in range(frames)})
    space = "3D/BODY_135/Reconstructed.lmdb" if panoptic else "3D/Groundtruth.lmdb"
    write_lmdb(root / "Poses" / space, {frame: pickle.dumps(torch.full((joints, 3 + panoptic, 1), 0.5))
                                        for frame in range(1, frames)})
    (folder / "cameras.json").write_text(json.dumps(described))


# what writes a small source of each, and with which options
MAKERS = {"zju": (make_zju, {"frames": 1, "count": 1}),
          "people-snapshot": (make_people_snapshot, {"frames": 2}),
          "neuman": (make_neuman, {"frames": 2}),
          "human-view-synthesis": (make_human_view, {"frames": 2, "count": 1})}
