"""A capture whose body is Anny, posed by parameters: three frames from two cameras, in grey."""

from pathlib import Path

import numpy as np
import torch

from anr_core.body import Pose, Posed
from anr_core.body.anny import AnnyBody, Shape
from anr_core.camera import Camera, orbit
from anr_core.capture import Capture, load_capture
from anr_core.capture.footage import Footage, Take
from anr_core.capture.writing import write_capture
from anr_core.rasterizer import rasterize

SIZE = (96, 180)  # wide: a crop begins somewhere in the picture
FRAMES = (4, 8, 6)  # registered in no order
SHARES = torch.tensor([0.0, 1.0, 0.5])


def make_posed_capture(folder: Path, masked: bool = False) -> Capture:
    """The right arm comes up while the person turns and walks; keypoints are the true ones.

    masked  masks are there, those of the naked body
    """
    folder.mkdir(parents=True)
    body = AnnyBody(Shape(gender=0.2, age=0.7))
    poses = arm_raised(body, SHARES)
    keypoints = body.keypoints(body(poses), "coco23")
    around = orbit(torch.tensor([[0.0, 0.0, 0.9]]), torch.tensor([0.0, 1.5]), 0.1, 4.0, 0.6, SIZE,
                   torch.tensor([0.0, 0.0, 1.0]))
    cameras = {"front": around[0], "side": around[1]}
    takes = []
    for name, camera in cameras.items():
        for row, frame in enumerate(FRAMES):
            seen = torch.cat([camera.project(keypoints[row:row + 1])[0][0], torch.ones(23, 1)], 1)
            truth = folder.parent / f"{name}{frame}.npz"
            np.savez(truth, number=np.array([frame]), depth=np.full(SIZE, frame))
            mask = silhouette(body(poses[row:row + 1]), camera) if masked else None
            grey = np.full((*SIZE, 3), 90 + 20 * row, np.uint8)
            takes.append(Take(name, frame, grey, mask, keypoints=seen.numpy(), truth=truth))
    write_capture(Footage("made up", cameras, {name: {} for name in cameras}, takes, np.array(FRAMES), None,
                          body.surface, 10.0, (0.0, 0.0, 1.0), "CC0", body=body, poses=poses,
                          keypoints="coco23"), folder)
    return load_capture(folder)


def silhouette(posed: Posed, camera: Camera) -> np.ndarray:
    """(H, W) 255 where a body, a batch of one, covers the picture."""
    there = rasterize(posed.vertices, posed.surface.faces, camera, SIZE).face_id[0] >= 0
    return there.numpy().astype(np.uint8) * 255


def arm_raised(body: AnnyBody, share: torch.Tensor) -> Pose:
    """Poses (B,) from the resting one to another."""
    rest = body.rest_pose()
    rotations = torch.zeros(len(share), *rest.rotations.shape[1:])
    rotations[:, body.skeleton.names.index("right_shoulder") - 1, 1] = 1.2 * share
    turn = share[:, None] * torch.tensor([0.0, 0.0, 0.4])
    return Pose(rotations, turn, rest.root_translation + share[:, None] * torch.tensor([0.1, -0.2, 0.0]))
