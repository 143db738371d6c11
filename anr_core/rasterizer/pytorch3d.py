"""PyTorch3D as a backend, where it is installed, and the conversion of its cameras and fragments.

PyTorch3D's camera looks along +Z with +X to the left and +Y up, multiplies row vectors (x R + T), and
measures pictures in halves of their shorter side from the centre. At the near plane it clips as we do, and
reports the original faces. It has no lens distortion, draws in float32, and of a weak camera's view leaves
out what is behind the camera.
"""

from __future__ import annotations

import torch

from anr_core.camera import Camera
from anr_core.rasterizer.fragments import NEAR, Fragments, covered


def fragments(vertices: torch.Tensor, faces: torch.Tensor, camera: Camera,
              size: tuple[int, int]) -> Fragments:
    """See `rasterize`."""
    try:
        from pytorch3d import renderer
        from pytorch3d.structures import Meshes
    except ImportError as error:
        raise ImportError("The pytorch3d backend needs PyTorch3D. Install it with: pip install "
                          "--no-build-isolation '.[pytorch3d]', or use backend='warp'.") from error
    if camera.distortion is not None and bool((camera.distortion != 0).any()):
        raise ValueError("PyTorch3D draws no lens distortion; undistort the pictures, or use backend='warp'.")
    perspective = camera.projection == "perspective"
    kind = renderer.PerspectiveCameras if perspective else renderer.OrthographicCameras
    settings = renderer.RasterizationSettings(
        image_size=tuple(size), blur_radius=0.0, faces_per_pixel=1, perspective_correct=perspective,
        z_clip_value=NEAR if perspective else None)
    cameras = kind(**pytorch3d_camera(camera.to(torch.float32), size), device=vertices.device)
    meshes = Meshes(vertices.float(), faces[None].expand(len(vertices), -1, -1))
    drawn = renderer.MeshRasterizer(cameras, settings)(meshes)
    return fragments_from_pytorch3d(drawn.pix_to_face, drawn.zbuf, drawn.bary_coords, len(faces))


def pytorch3d_camera(camera: Camera, size: tuple[int, int]) -> dict[str, torch.Tensor]:
    """R (B, 3, 3), T (B, 3), focal_length (B, 2) and principal_point (B, 2) as PyTorch3D's cameras take them.

    For PerspectiveCameras, or OrthographicCameras where the camera is weak. Skew can't be expressed.

    Raises ValueError for skew.
    """
    if bool((camera.K[:, 0, 1] != 0).any()):
        raise ValueError("PyTorch3D's cameras have no skew, but K[0, 1] is not 0; use backend='warp'.")
    half = min(size) / 2
    flip = camera.t.new_tensor([-1.0, -1.0, 1.0])  # right to left, down to up
    middle = camera.t.new_tensor([size[1] / 2, size[0] / 2])
    return {"R": camera.R.transpose(1, 2) * flip, "T": camera.t * flip,
            "focal_length": camera.K.diagonal(dim1=1, dim2=2)[:, :2] / half,
            "principal_point": (middle - camera.K[:, :2, 2]) / half}


def fragments_from_pytorch3d(pix_to_face: torch.Tensor, zbuf: torch.Tensor, bary_coords: torch.Tensor,
                             faces_per_mesh: int) -> Fragments:
    """The nearest of PyTorch3D's fragments (B, H, W, K [, 3]), whose face ids count through the batch."""
    nearest = pix_to_face[..., 0]
    empty = nearest < 0
    first = faces_per_mesh * torch.arange(len(nearest), device=nearest.device)[:, None, None]
    face_id = torch.where(empty, -1, nearest - first).int()
    return Fragments(face_id, bary_coords[..., 0, :].masked_fill(empty[..., None], 0),
                     zbuf[..., 0].masked_fill(empty, 0), covered(face_id))
