"""A body without a model: one registered mesh a frame, looked up by frame number."""

from __future__ import annotations

import torch

from anr_core.body.base import Body, Pose, Posed, Surface
from anr_core.telling import listed


class TrackedBody(Body):
    """Registered meshes of one person, `body(pose)` being the mesh of `pose.frame`.

    frames       (n,)       frame numbers, each once, in any order
    vertices     (n, V, 3)  metres, world
    interpolate  whether a frame between two registered ones gets their mixture, or is refused

    The meshes belong to the capture, so a checkpoint does not hold them.
    """

    def __init__(self, frames, vertices, surface: Surface, interpolate: bool = False):
        super().__init__(surface)
        frames, vertices = torch.as_tensor(frames).long(), torch.as_tensor(vertices).float()
        if len(frames) == 0 or vertices.ndim != 3 or len(vertices) != len(frames):
            raise ValueError(f"{len(frames)} frames came with vertices of shape {tuple(vertices.shape)}, "
                             "expected (frames, V, 3) with at least one frame.")
        if len(frames.unique()) < len(frames):
            raise ValueError(f"Frame {int(frames.mode().values)} is registered more than once; "
                             "keep one mesh a frame.")
        finite = [bool(mesh.isfinite().all()) for mesh in vertices]  # one by one: they may lie on disk
        broken = frames[~torch.tensor(finite)]
        if len(broken):
            raise ValueError(f"The mesh of frame {listed(broken.tolist())} holds NaN or infinite vertices; "
                             "register it anew or leave it out.")
        if bool((frames.diff() < 0).any()):
            order = frames.argsort()
            frames, vertices = frames[order], vertices[order]
        self.register_buffer("frames", frames, persistent=False)
        self.register_buffer("vertices", vertices.contiguous(), persistent=False)
        self.interpolate = interpolate

    def rest_pose(self) -> Pose:
        """The first mesh: none of them rests."""
        return Pose.of_frame(self.frames[:1])

    def forward(self, pose: Pose) -> Posed:
        """The meshes of pose.frame (B,), which may hold fractions where frames are interpolated."""
        if pose.frame is None:
            raise ValueError("A tracked body is posed by frame number, but pose.frame is None; "
                             "make the pose with Pose.of_frame.")
        frame = pose.frame.to(self.frames.device)
        self._check(frame)
        after = torch.searchsorted(self.frames, frame.contiguous())
        if not self.interpolate:
            return Posed(self.vertices[after], None, self.surface)
        before = torch.where(self.frames[after] == frame, after, after - 1)
        span = (self.frames[after] - self.frames[before]).clamp(min=1)
        share = ((frame - self.frames[before]) / span).float()[:, None, None]
        return Posed(torch.lerp(self.vertices[before], self.vertices[after], share), None, self.surface)

    def _check(self, frame):
        known = torch.isin(frame, self.frames)
        if self.interpolate:
            known |= (frame > self.frames[0]) & (frame < self.frames[-1])
        if bool(known.all()):
            return
        remedy = "" if self.interpolate else " or let frames between two of them be interpolated"
        raise ValueError(f"Frame {listed(frame[~known].tolist())} has no mesh: {len(self.frames)} frames "
                         f"from {int(self.frames[0])} to {int(self.frames[-1])} are registered; ask for one "
                         f"of these{remedy}.")
