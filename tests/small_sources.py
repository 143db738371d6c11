"""Small recordings in other systems' formats: a stick figure that walks on the spot, filmed around.

Its keypoints are known exactly, so what a reader makes of a source can be compared with the truth.
"""

import json
import math
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from PIL import Image, ImageDraw

from anr_core.camera import Camera, orbit
from anr_core.skeleton import BODY25

SIZE = (120, 90)
NAMES = ("cam1", "cam2", "cam10")  # in their natural order
RATE = 10


def figure(frame: int) -> np.ndarray:
    """(25, 3) metres, Z up, facing -Y, their left at +X; arms and legs swing once in 12.7 frames."""
    swing = math.sin(2 * math.pi * frame / 12.7)  # no frame is like another
    at = {"middle_hip": (0, 0, 0.95), "neck": (0, 0, 1.45), "nose": (0, -0.12, 1.62)}
    for side, x in (("left", 1), ("right", -1)):
        step = x * swing
        at |= {f"{side}_shoulder": (0.2 * x, 0, 1.45), f"{side}_elbow": (0.28 * x, 0.2 * step, 1.2),
               f"{side}_wrist": (0.3 * x, 0.45 * step - 0.05, 1.0), f"{side}_hip": (0.1 * x, 0, 0.95),
               f"{side}_knee": (0.1 * x, -0.22 * step, 0.53), f"{side}_ankle": (0.1 * x, -0.45 * step, 0.12),
               f"{side}_eye": (0.04 * x, -0.1, 1.66), f"{side}_ear": (0.08 * x, 0, 1.64),
               f"{side}_big_toe": (0.12 * x, -0.45 * step - 0.18, 0.02),
               f"{side}_small_toe": (0.16 * x, -0.45 * step - 0.15, 0.02),
               f"{side}_heel": (0.1 * x, -0.45 * step + 0.06, 0.04)}
    return np.array([at[name] for name in BODY25.names], np.float32)


def cameras(size=SIZE) -> dict[str, Camera]:
    """Three cameras in front and to the sides, 3.5 m away."""
    around = orbit(torch.tensor([[0.0, 0.0, 0.85]]), torch.tensor([-0.7, 0.0, 0.8]), 0.15, 3.5, 0.62, size,
                   torch.tensor([0.0, 0.0, 1.0]))
    return {name: around[index] for index, name in enumerate(NAMES)}


def seen(camera: Camera, frame: int) -> np.ndarray:
    """(25, 3) pixels and confidence 0.9."""
    pixels = camera.project(torch.from_numpy(figure(frame))[None])[0][0].numpy()
    return np.concatenate([pixels, np.full((25, 1), 0.9, np.float32)], 1)


def picture(camera: Camera, frame: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) of the figure before a textured wall, and its mask (H, W)."""
    height, width = camera.size
    wall = np.random.default_rng(seed).uniform(60, 120, (height // 8 + 1, width // 8 + 1, 3)).astype(np.uint8)
    scene = Image.fromarray(wall).resize((width, height), Image.Resampling.BILINEAR)
    mask, points = Image.new("L", (width, height)), seen(camera, frame)[:, :2]
    for one, other in BODY25.edges:
        line = [tuple(points[one]), tuple(points[other])]
        ImageDraw.Draw(mask).line(line, 255, 5)
        ImageDraw.Draw(scene).line(line, ((40 * one) % 256, 230 - 8 * one, 200), 5)
    return np.asarray(scene), np.asarray(mask)


def write_pictures(folder: Path, names, frames, masks: bool = True, digits: int = 6) -> None:
    for index, (name, camera) in enumerate(cameras().items()):
        if name not in names:
            continue
        for frame in frames:
            image, mask = picture(camera, frame, index)
            for kind, array, suffix in (("images", image, "jpg"), ("mask", mask, "png"))[:1 + masks]:
                file = folder / kind / name / f"{frame:0{digits}d}.{suffix}"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(file)


def write_video(file: Path, name: str, frames, rate: float = RATE) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    film = [picture(cameras()[name], frame, NAMES.index(name))[0] for frame in frames]
    iio.imwrite(file, np.stack(film), fps=rate, codec="libx264", macro_block_size=1, pixelformat="yuv420p")


def write_openpose(folder: Path, name: str, frames, late: int = 0, scale: float = 1.0) -> None:
    """OpenPose's files, with a small bystander whose confidence is low."""
    folder.mkdir(parents=True, exist_ok=True)
    for frame in frames:
        points = seen(cameras()[name], frame) * np.float32([scale, scale, 1])
        bystander = points * np.float32([0.2, 0.2, 0.5])
        people = [{"person_id": [-1], "pose_keypoints_2d": one.flatten().tolist()}
                  for one in (bystander, points)]
        file = folder / f"{name}_{frame + late:012d}_keypoints.json"
        file.write_text(json.dumps({"version": 1.3, "people": people}))


def matrix(name: str, values: np.ndarray) -> str:
    return (f"{name}: !!opencv-matrix\n   rows: {values.shape[0]}\n   cols: {values.shape[1]}\n   dt: d\n"
            f"   data: [ {', '.join(f'{value:.9g}' for value in values.flatten())} ]\n")


def write_calibration(folder: Path, units: float = 1.0, sizes: bool = False, change=dict) -> None:
    """intri.yml and extri.yml, laid out as EasyMocap does; `change` makes other cameras of these."""
    intrinsic = extrinsic = "%YAML:1.0\n---\nnames:\n" + "".join(f'   - "{name}"\n' for name in NAMES)
    for name, camera in change(cameras()).items():
        intrinsic += matrix(f"K_{name}", camera.K[0].numpy()) + matrix(f"dist_{name}", np.zeros((1, 5)))
        if sizes:
            intrinsic += f"H_{name}: {SIZE[0]}\nW_{name}: {SIZE[1]}\n"
        extrinsic += matrix(f"Rot_{name}", camera.R[0].numpy())
        extrinsic += matrix(f"T_{name}", units * camera.t[0].numpy()[:, None])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "intri.yml").write_text(intrinsic)
    (folder / "extri.yml").write_text(extrinsic)


def write_easymocap(folder: Path, frames=range(3), late: int = 0) -> Path:
    """Pictures, masks, OpenPose's keypoints and a calibration."""
    write_calibration(folder)
    write_pictures(folder, NAMES, frames)
    for name in NAMES:
        write_openpose(folder / "openpose" / name, name, frames, late)
    return folder


def write_pose2sim(folder: Path, frames=range(4), suffix: str = "") -> Path:
    """Videos, a TOML whose cameras are called cam_1, cam_2 ..., and OpenPose's folders."""
    import roma

    text = ""
    for name, camera in cameras().items():
        rotation = roma.rotmat_to_rotvec(camera.R[0]).tolist()
        text += (f'[{name.replace("cam", "cam_")}]\nname = "{name.replace("cam", "cam_")}"\n'
                 f"size = [ {SIZE[1]}.0, {SIZE[0]}.0]\nmatrix = {camera.K[0].tolist()}\n"
                 f"distortions = [ 0.0, 0.0, 0.0, 0.0]\nrotation = {rotation}\n"
                 f"translation = {camera.t[0].tolist()}\nfisheye = false\n\n")
        write_video(folder / "videos" / f"{name}.mp4", name, frames)
        write_openpose(folder / "pose" / f"{name}_json", name, frames)
    (folder / "calibration").mkdir()
    (folder / "calibration" / f"Calib{suffix}.toml").write_text(text + "[metadata]\nadjusted = false\n")
    return folder


def write_qca(file: Path, lying=()) -> Path:
    """Qualisys' calibration of the same cameras as cam_1, cam_2 ..., a marker camera and one that is off.

    Those that are lying stand on their left side: only what is turned clockwise is upright.
    """
    text = ""
    for name, camera in cameras().items():
        K, R, t = (value[0].double().numpy() for value in (camera.K, camera.R, camera.t))
        height, width = SIZE
        if name in lying:
            on_side = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
            R, t = on_side @ R, on_side @ t
            K = np.array([[K[1, 1], 0, K[1, 2]], [0, K[0, 0], width - 1 - K[0, 2]], [0, 0, 1]])
            height, width = width, height
        rows, place = np.diag([1, -1, -1]) @ R, -1000 * R.T @ t
        axes = " ".join(f'r{i + 1}{j + 1}="{rows[i, j]}"' for i in range(3) for j in range(3))
        film = (f'<fov_video bottom="{height - 1}" left="0" right="{width - 1}" top="0"/>\n'
                f'<transform {axes} x="{place[0]}" y="{place[1]}" z="{place[2]}"/>\n'
                f'<intrinsic centerPointU="{64 * K[0, 2]}" centerPointV="{64 * K[1, 2]}" '
                f'focalLengthU="{64 * K[0, 0]}" focalLengthV="{64 * K[1, 1]}" radialDistortion1="0.0" '
                'radialDistortion2="0.0" radialDistortion3="0.0" skew="0.0" tangentalDistortion1="0.0" '
                'tangentalDistortion2="0.0"/>\n')
        text += (f'<camera active="1" model="Miqus Video" serial="{name.replace("cam", "cam_")}" '
                 f'viewrotation="{90 * (name in lying)}">\n{film}</camera>\n')
    text += (f'<camera active="1" model="Miqus M3" serial="M1" viewrotation="0">\n{film}</camera>\n'
             f'<camera active="0" model="Miqus Video" serial="off" viewrotation="0"/>\n')
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("<?xml version='1.0' encoding='ASCII'?>\n<calibration type=\"regular\">\n<cameras>\n"
                    f"{text}</cameras>\n</calibration>\n")
    return file


def write_session(folder: Path, trials=("S00_P00_T00_Static", "S00_P00_T01_Walk"), frames=range(2)) -> Path:
    """A session of pose2sim: trials of one participant, calibrated by Qualisys."""
    write_qca(folder / "S00_Calibration" / "Calib.qca.txt")
    board = folder / "S00_Calibration" / "extrinsics" / "ext_cam1_img" / "board.png"
    board.parent.mkdir(parents=True)
    Image.new("RGB", (4, 3)).save(board)
    for trial in trials:
        place = folder / "S00_P00_Participant" / trial
        for name in NAMES:
            write_video(place / "videos" / f"{name}.mp4", name, frames)
            write_openpose(place / "pose" / f"{name}_json", name, frames)
        (place / "Config.toml").write_text("[project]\nframe_range = []\n")
    return folder
