"""What lasts: memory over long films and long videos, and trainings that are killed.

    python -m benchmarks.endurance [memory] [--frames 300,1000,10000] [--steps 200] [--folder DIR]
    python -m benchmarks.endurance kill [--kills 100] [--steps 60] [--seed 0] [--system anr]
    python -m benchmarks.endurance render [--frames 10000] [--size 1024]

`memory`: whether preparing and training hold more memory the longer the film is. For each number of frames a
small film is made of one person, who moves in a cycle: a video, masks and keypoints. Then each stage runs in
a process of its own, whose peak of resident memory is read when it ends:

    nothing    imports alone, to compare with
    prepare    the video, masks and keypoints become a capture
    train      an avatar, for so many steps; before, the poses that are known are written as `fit` writes them

Training keeps decoded pictures, up to 512 MiB: so much it may grow. A frame takes about 15 kB of disk, and is
removed afterwards.

`kill`: trainings get SIGKILL at random, also while they write, and go on: see killing.py. It ends with exit
code 1 where one has come to other bytes than one that nobody disturbed, or lost what it had saved.

`render`: the command of that name draws a video of so many pictures; resident memory of its process, and of
the encoder's, is sampled every second. What it holds in the video's last tenth is told beside its second.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import torch
from PIL import Image

from anr_core.body import Pose
from anr_core.body.anny import AnnyBody, Shape
from anr_core.camera import Camera, orbit
from anr_core.capture import load_capture
from anr_core.capture.changing import write_registration
from anr_core.export.writing import write_video
from anr_core.prepare import prepare
from anr_core.rasterizer import rasterize
from anr_core.training import train
from benchmarks import drawing, killing

CYCLE = 30  # frames, after which the film repeats itself
SIDE = 96  # of the pictures, pixels
FPS = 25
STAGES = {
    "nothing": "import anr_core, anr_core.cli, anr_core.prepare, anr_core.training",
    "prepare": "from anr_core.prepare import prepare; prepare({source!r}, {capture!r})",
    "train": "from anr_core import train\n"
             "for _ in train({capture!r}, {run!r}, steps={steps}): pass",
}


def main() -> None:
    """Run one of the three, and print what it finds."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("what", nargs="?", default="memory", choices=("memory", "kill", "render"))
    options.add_argument("--frames", help="memory: lengths of the films, comma-separated (300,1000,10000); "
                                          "render: pictures of the video (10000)")
    options.add_argument("--steps", type=int, help="of each training: memory 200, kill 60")
    options.add_argument("--kills", type=int, default=100)
    options.add_argument("--seed", type=int, default=0, help="of when trainings are killed")
    options.add_argument("--system", default="anr", help="that is trained and killed")
    options.add_argument("--size", type=int, default=1024, help="side of the video's pictures, pixels")
    options.add_argument("--folder", type=Path, help="where to make the films; a temporary one if not given")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        if chosen.what == "memory":
            endure_films(Path(folder), chosen.frames or "300,1000,10000", chosen.steps or 200)
        elif chosen.what == "kill":
            endure_kills(Path(folder), chosen.kills, chosen.steps or 60, chosen.seed, chosen.system)
        else:
            endure_drawing(Path(folder), int(chosen.frames or 10_000), chosen.size)


def endure_films(folder: Path, lengths: str, steps: int) -> None:
    """Measure every stage at every length, and print a line for each."""
    print(f"{'stage':<10}{'frames':>8}{'peak MiB':>10}{'over nothing':>14}{'seconds':>9}", flush=True)
    nothing, _ = measured(STAGES["nothing"])
    print(f"{'nothing':<10}{'':>8}{nothing:>10.0f}", flush=True)
    for count in map(int, lengths.split(",")):
        endure(folder / str(count), count, steps, nothing)


def endure_kills(folder: Path, kills: int, steps: int, seed: int, system: str) -> None:
    """Kill so many times, and print a line for each."""
    capture = filmed(folder, CYCLE // 3)
    print(f"{'kill':>5}  {'told':>5}{'saved':>7}  where", flush=True)
    try:
        for number, kill in enumerate(killing.endure(capture, folder, kills, steps, seed, system), 1):
            plan = kill.plan
            where = f"{plan.moment:.3f} s after a step" if plan.file is None else \
                f"file {plan.file}, before {plan.place}, {plan.share:.0%} of it there"
            print(f"{number:>5}  {kill.told:>5}{kill.saved:>7}  {where}", flush=True)
    except RuntimeError as error:
        sys.exit(f"Error: {error}")
    print(f"killed {kills} times: nothing that was saved was lost, and all came to the same bytes")


def endure_drawing(folder: Path, count: int, size: int) -> None:
    """Draw a video of so many pictures, and print what memory its processes hold."""
    capture, run, out = filmed(folder, count // 2 + 1), folder / "run", folder / "long.mp4"  # there and back
    for _ in train(capture, run, steps=20, refine=False):
        pass
    print(f"{'pictures':>9}{'drawn in s':>12}{'early MiB':>11}{'late MiB':>10}{'growth MiB':>12}", flush=True)
    early, late, seconds = drawing.memory_while_drawing(run, out, size)
    drawn = imageio_ffmpeg.count_frames_and_secs(out)[0]
    print(f"{drawn:>9}{seconds:>12.0f}{early:>11.0f}{late:>10.0f}{late - early:>12.0f}", flush=True)


def filmed(folder: Path, count: int) -> Path:
    """A capture of a film of so many frames, with the poses of all of them."""
    poses = write_film(folder / "source", count)
    capture = prepare(folder / "source", folder / "capture")
    write_registration(capture, person(), poses, {"camera": camera()})
    shutil.rmtree(folder / "source")
    return capture.path


def endure(folder: Path, count: int, steps: int, nothing: float) -> None:
    """Measure the stages on a film of so many frames, which is made in a folder and removed."""
    source, capture, run = (folder / name for name in ("source", "capture", "run"))
    poses = write_film(source, count)
    for stage in ("prepare", "train"):
        code = STAGES[stage].format(source=str(source), capture=str(capture), run=str(run), steps=steps)
        peak, seconds = measured(code)
        print(f"{stage:<10}{count:>8}{peak:>10.0f}{peak - nothing:>14.0f}{seconds:>9.0f}", flush=True)
        if stage == "prepare":
            write_registration(load_capture(capture), person(), poses, {"camera": camera()})
    shutil.rmtree(folder)


def measured(code: str) -> tuple[float, float]:
    """Peak of resident memory, MiB, and seconds of Python code in a process of its own.

    Raises RuntimeError with what it said where it fails.
    """
    started = time.perf_counter()
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=told, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            told.seek(0)
            raise RuntimeError(told.read().decode(errors="replace")[-2000:])
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kibibytes elsewhere
    return usage.ru_maxrss / unit, time.perf_counter() - started


# the film

def person() -> AnnyBody:
    return AnnyBody(Shape(gender=0.2))


def camera() -> Camera:
    """In front of the person, who is three quarters as tall as the picture."""
    return orbit(torch.tensor([[0.0, 0.0, 0.85]]), torch.tensor([0.2]), 0.1, 4.0, 0.62, (SIDE, SIDE),
                 torch.tensor([0.0, 0.0, 1.0]))


def cycle(body: AnnyBody) -> Pose:
    """CYCLE poses of someone whose arms and knees swing."""
    phase = torch.linspace(0, 2 * np.pi, CYCLE + 1)[:-1].sin()
    rotations = torch.zeros(CYCLE, *body.rest_pose().rotations.shape[1:])
    for name, axis, angle in (("left_shoulder", 1, 0.6), ("right_shoulder", 1, 0.6), ("left_knee", 0, 0.5)):
        rotations[:, body.skeleton.names.index(name) - 1, axis] = angle * phase
    return Pose(rotations, 0.3 * phase[:, None] * torch.tensor([0.0, 0.0, 1.0]),
                body.rest_pose().root_translation.expand(CYCLE, 3))


def write_film(folder: Path, count: int) -> Pose:
    """A source of format `plain`, and the poses of all its frames."""
    body = person()
    poses = cycle(body)
    posed, seen = body(poses), camera()
    pixels = seen[torch.zeros(CYCLE, dtype=torch.long)].project(body.keypoints(posed, "coco23"))[0]
    scene = np.random.default_rng(0).integers(90, 160, (SIDE // 8, SIDE // 8, 3)).astype(np.uint8)
    scene = np.asarray(Image.fromarray(scene).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    pictures, masks, keypoints = [], [], []
    for row in range(CYCLE):
        drawn = rasterize(posed.vertices[row:row + 1], body.surface.faces, seen, (SIDE, SIDE))
        face = drawn.face_id[0].numpy()
        part = np.where(face >= 0, body.surface.part.numpy()[face], 0)
        colours = np.stack([60 * part % 251, 35 * part % 239, 90 * part % 233], -1).astype(np.uint8)
        pictures.append(np.where(part[..., None] > 0, colours, scene))
        masks.append(as_png(np.where(part > 0, np.uint8(255), np.uint8(0))))
        points = torch.cat([pixels[row], torch.full((len(pixels[row]), 1), 0.9)], 1)
        keypoints.append(json.dumps({"people": [{"pose_keypoints_2d": points.flatten().tolist()}]}))
    for name in ("videos", "masks", "keypoints"):
        (folder / name).mkdir(parents=True)
    write_video(folder / "videos" / "camera.mp4", (pictures[frame % CYCLE] for frame in range(count)), FPS)
    for frame in range(count):
        (folder / "masks" / f"{frame:06d}.png").write_bytes(masks[frame % CYCLE])
        (folder / "keypoints" / f"{frame:06d}_keypoints.json").write_text(keypoints[frame % CYCLE])
    rows = torch.arange(count) % CYCLE
    return Pose(poses.rotations[rows], poses.root_rotation[rows], poses.root_translation[rows],
                torch.arange(count))


def as_png(mask: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    main()
