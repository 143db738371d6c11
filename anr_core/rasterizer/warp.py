"""The default backend: NVIDIA Warp kernels, one source for CPU and CUDA.

Each face visits the pixels of its bounding box and lowers their keys, depth in the upper 32 bits and face id
in the lower: the minimum doesn't depend on the order, and of two faces at equal depth the lower id stays.

A sample belongs to a face when all three edge functions have the sign of the face's orientation or are zero
(Olano and Greer, Triangle Scan Conversion using 2D Homogeneous Coordinates, 1997). Two faces that share an
edge compute exactly opposite values for it, so no sample falls between them; one on the edge is in both, and
the key decides.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import torch
import warp as wp

from anr_core.camera import Camera
from anr_core.rasterizer.fragments import Fragments, covered, differentiable, homogeneous, near_plane


def _initialise():
    """Start Warp in silence: without a GPU its library writes a line to the process's stderr."""
    if hasattr(wp.config, "log_level"):
        wp.config.log_level = wp.LOG_WARNING
    else:  # older releases
        wp.config.quiet = True
    if torch.cuda.is_available():
        return wp.init()
    stderr = os.dup(2)
    silence = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silence, 2)
        wp.init()
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(silence)


_initialise()
# without fused multiply-add a x b is exactly -(b x a), on which watertight edges rest
wp.set_module_options({"enable_backward": False, "fuse_fp": False})

PIXELS_WORTH_A_THREAD = 2 ** 19  # below this starting a thread costs what it saves

EMPTY = wp.constant(wp.uint64(0xFFFFFFFFFFFFFFFF))
LOW = wp.constant(wp.uint64(0xFFFFFFFF))
SIGN = wp.constant(wp.uint32(0x80000000))
HALF = wp.constant(wp.float64(0.5))
CLIPPED = wp.constant(3.0e38)  # stands for the pixel of a vertex before the near plane


@wp.func
def ordered(depth: wp.float32) -> wp.uint32:
    """Bits that sort as the numbers do, negative ones too."""
    bits = wp.cast(depth, wp.uint32)
    if (bits & SIGN) != wp.uint32(0):
        return ~bits
    return bits | SIGN


@wp.func
def depth_of(key: wp.uint64) -> wp.float32:
    """The depth that a key holds: the inverse of what ordered it."""
    bits = wp.uint32(key >> wp.uint64(32))
    if (bits & SIGN) != wp.uint32(0):
        return wp.cast(bits ^ SIGN, wp.float32)
    return wp.cast(~bits, wp.float32)


@wp.func
def edge(p: wp.vec4d, q: wp.vec4d) -> wp.vec3d:
    """Coefficients of the function of (x, y, 1) that is zero on the line through p and q."""
    return wp.vec3d(p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0])


@wp.func
def clipped_box(p: wp.vec4d, q: wp.vec4d, r: wp.vec4d, near: wp.float64) -> wp.vec4:
    """Left, top, right, bottom of what the near plane leaves of a face; right < left if that is nothing."""
    low = wp.vec2d(wp.float64(1.0e9))
    high = wp.vec2d(wp.float64(-1.0e9))
    for side in range(3):
        a = p
        b = q
        if side == 1:
            a = q
            b = r
        if side == 2:
            a = r
            b = p
        if a[2] >= near:
            corner = wp.vec2d(a[0], a[1]) / a[2]
            low = wp.min(low, corner)
            high = wp.max(high, corner)
        if (a[2] >= near) != (b[2] >= near):
            cut = a + (near - a[2]) / (b[2] - a[2]) * (b - a)
            low = wp.min(low, wp.vec2d(cut[0], cut[1]) / near)
            high = wp.max(high, wp.vec2d(cut[0], cut[1]) / near)
    return wp.vec4(wp.float32(low[0]), wp.float32(low[1]), wp.float32(high[0]), wp.float32(high[1]))


@wp.func
def first_centre(low: float, start: int, end: int) -> int:
    """The first pixel of [start, end) whose centre is not before `low`; 0.01 px to spare for float32."""
    return int(wp.clamp(wp.ceil(low - 0.51), float(start), float(end)))


@wp.func
def past_centre(high: float, start: int, end: int) -> int:
    """One past the last pixel of [start, end) whose centre is not after `high`, likewise."""
    return int(wp.clamp(wp.floor(high + 0.51), float(start), float(end)))


@wp.kernel
def draw(coordinates: wp.array2d(dtype=wp.vec4d), screen: wp.array2d(dtype=wp.vec2),
         faces: wp.array(dtype=wp.vec3i), near: wp.float64, height: int, width: int,
         first_row: int, end_row: int, keys: wp.array(dtype=wp.uint64)):
    """Lower the keys in rows [first_row, end_row), counted through all pictures."""
    offset, face = wp.tid()
    picture = first_row / height + offset
    corner = faces[face]
    s = screen[picture, corner[0]]  # boxes in float32 first: most small faces miss every centre and end here
    t = screen[picture, corner[1]]
    u = screen[picture, corner[2]]
    low = wp.min(wp.min(s, t), u)
    high = wp.max(wp.max(s, t), u)
    if s[0] == CLIPPED or t[0] == CLIPPED or u[0] == CLIPPED:
        box = clipped_box(coordinates[picture, corner[0]], coordinates[picture, corner[1]],
                          coordinates[picture, corner[2]], near)
        low = wp.vec2(box[0], box[1])
        high = wp.vec2(box[2], box[3])
    x0 = first_centre(low[0], 0, width)
    x1 = past_centre(high[0], 0, width)
    top = wp.max(first_row - picture * height, 0)
    bottom = wp.min(end_row - picture * height, height)
    y0 = first_centre(low[1], top, bottom)
    y1 = past_centre(high[1], top, bottom)
    if x0 >= x1 or y0 >= y1:
        return

    p = coordinates[picture, corner[0]]
    q = coordinates[picture, corner[1]]
    r = coordinates[picture, corner[2]]
    a = edge(q, r)
    b = edge(r, p)
    c = edge(p, q)
    if a[0] * p[0] + a[1] * p[1] + a[2] * p[2] < wp.float64(0.0):  # seen from behind: drawn as well
        a = -a
        b = -b
        c = -c
    for row in range(y0, y1):
        y = wp.float64(row) + HALF
        row_a = a[1] * y + a[2]
        row_b = b[1] * y + b[2]
        row_c = c[1] * y + c[2]
        for column in range(x0, x1):
            x = wp.float64(column) + HALF
            weight_a = a[0] * x + row_a
            weight_b = b[0] * x + row_b
            weight_c = c[0] * x + row_c
            depth = (weight_a * p[3] + weight_b * q[3] + weight_c * r[3]) / (weight_a + weight_b + weight_c)
            key = (wp.uint64(ordered(wp.float32(depth))) << wp.uint64(32)) | wp.uint64(face)
            inside = wp.min(wp.min(weight_a, weight_b), weight_c) >= wp.float64(0.0)
            # without a branch: on small faces a mispredicted one costs more than the sample
            key = wp.where(inside and depth >= near, key, EMPTY)
            wp.atomic_min(keys, (picture * height + row) * width + column, key)


@wp.kernel
def resolve(coordinates: wp.array2d(dtype=wp.vec4d), faces: wp.array(dtype=wp.vec3i), height: int, width: int,
            keys: wp.array(dtype=wp.uint64), pixels: wp.array(dtype=wp.int64),
            barycentric: wp.array(dtype=wp.vec3), depth: wp.array(dtype=float)):
    """Write barycentrics and depth of the covered pixels."""
    pixel = int(pixels[wp.tid()])
    key = keys[pixel]
    corner = faces[int(key & LOW)]
    row = pixel / width
    picture = row / height
    p = coordinates[picture, corner[0]]
    q = coordinates[picture, corner[1]]
    r = coordinates[picture, corner[2]]
    centre = wp.vec3d(wp.float64(pixel - row * width) + HALF, wp.float64(row - picture * height) + HALF,
                      wp.float64(1.0))
    weights = wp.vec3d(wp.dot(edge(q, r), centre), wp.dot(edge(r, p), centre), wp.dot(edge(p, q), centre))
    barycentric[pixel] = wp.vec3(weights * (wp.float64(1.0) / (weights[0] + weights[1] + weights[2])))
    depth[pixel] = depth_of(key)


def fragments(vertices: torch.Tensor, faces: torch.Tensor, camera: Camera,
              size: tuple[int, int]) -> Fragments:
    """See `rasterize`. Gradients and float64 take the way through torch, on the covered pixels alone."""
    coordinates = homogeneous(vertices, camera)
    shape = (len(vertices), *size)
    triangles = faces.int().contiguous()
    keys = torch.full(shape, -1, dtype=torch.int64, device=vertices.device)
    if keys.numel() and len(faces):
        _draw(coordinates.detach(), triangles, near_plane(camera), keys)
    face_id = keys.int()  # the lower half; that of an empty key is -1
    if coordinates.requires_grad or vertices.dtype == torch.float64:
        return differentiable(coordinates, faces, face_id, vertices.dtype)
    pixels = covered(face_id)
    barycentric = vertices.new_zeros(*shape, 3)
    depth = vertices.new_zeros(shape)
    _launch(resolve, len(pixels), vertices.device, _array(coordinates, wp.vec4d), _array(triangles, wp.vec3i),
            *size, _array(keys.view(-1), wp.uint64), _array(pixels, wp.int64),
            _array(barycentric.view(-1, 3), wp.vec3), _array(depth.view(-1), wp.float32))
    return Fragments(face_id, barycentric, depth, pixels)


def _draw(coordinates, triangles, near, keys):
    height, width = keys.shape[1:]
    w = coordinates[..., 2:3]
    screen = torch.where(w < near, CLIPPED, coordinates[..., :2] / w).float()
    arrays = (_array(coordinates, wp.vec4d), _array(screen, wp.vec2), _array(triangles, wp.vec3i))
    flat_keys = _array(keys.view(-1), wp.uint64)

    def band(first, end):
        pictures = (end - 1) // height - first // height + 1
        _launch(draw, (pictures, len(triangles)), keys.device,
                *arrays, near, height, width, first, end, flat_keys)

    rows = len(keys) * height
    # A CPU kernel runs on the thread that launches it. Its minimum is no atomic one: bands share no pixel.
    if keys.device.type == "cuda" or torch.get_num_threads() == 1 or keys.numel() < PIXELS_WORTH_A_THREAD:
        return band(0, rows)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(band, (0, rows // 2), (rows // 2, rows)))


def _launch(kernel, count, device, *inputs):
    stream = wp.stream_from_torch(torch.cuda.current_stream(device)) if device.type == "cuda" else None
    wp.launch(kernel, count, inputs, device=wp.device_from_torch(device), stream=stream)


def _array(tensor, dtype):
    return wp.from_torch(tensor, dtype, requires_grad=False, return_ctype=True)
