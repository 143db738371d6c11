"""The small made-up person in the layouts of published datasets, with real numbers of real sizes."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch

from anr_core.camera import Camera
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


def make_zju(folder: Path, count: int = 2, frames: int = 3, odd: bool = False, faces: bool = True) -> None:
    """ZJU-MoCap; odd as 313 and 315 number and name their files."""
    stood = standing_cameras(count)
    rows = []
    for frame, shown in enumerate(filmed(frames, stood)):
        number, paths = frame + odd, []
        for view, (picture, coverage) in enumerate(shown.views):
            one = view + 1
            name = f"Camera ({one})/CoreView_313_Camera_({one})_{number:04d}_2019-08-23_16-08-50.592" \
                if odd else f"Camera_B{one}/{number:06d}"
            save(folder / f"{name}.jpg", picture)
            save(folder / "mask_cihp" / f"{name}.png", (coverage > 0.5) * 13 / 255)  # a part's label
            paths.append(f"{name}.jpg")
        rows.append({"ims": paths, "kpts2d": np.full((count, 25, 3), frame + 0.5)})
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
        out["keypoints"] = np.arange(frames * 54.0).reshape(frames, 54)
    K = camera.K[0].double().numpy()
    record = {"camera_f": K[[0, 1], [0, 1]], "camera_c": K[:2, 2], "camera_k": np.zeros(5),
              "camera_rt": np.zeros(3), "camera_t": np.zeros(3), "width": SIZE[1], "height": SIZE[0]}
    (folder / "camera.pkl").write_bytes(pickle.dumps(record, 2))
    return np.concatenate([poses, trans], 1)[cut:]
