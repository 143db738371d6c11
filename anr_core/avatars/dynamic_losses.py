"""What a dynamic texture minimises: composites, labels, and how much more it flickers than the film."""

from __future__ import annotations

import torch
from torch.nn import functional

from anr_core import losses
from anr_core.avatars.base import Rendering
from anr_core.avatars.config import Config
from anr_core.body import Posed
from anr_core.camera import Camera
from anr_core.capture.flow import lands, warped
from anr_core.capture.view import View
from anr_core.parts import Labelling
from anr_core.parts.generator import STEP
from anr_core.processes import mean_of_all
from anr_core.rasterizer import GBuffer, gbuffer
from anr_core.rasterizer.fragments import corner_rows, scattered
from anr_core.rasterizer.gbuffer import weighted

# Weights of the losses beside that of the composite, which is 10.
COMPOSITE, COLOUR, PART, PLACE, HELD, BEHIND = 10.0, 1.0, 0.05, 0.5, 0.3, 10.0
# Of how far detail is off the film's: at 1, what keeps frames steady takes a fifth of it away.
DETAIL = 2.0
# Of the squares of what the network adds to colours where the person is: what it has by heart costs more than
# it brings (with 47 pictures 0.9 dB inside, and 0.006 FLIP).
RESTRAINED = 3.0
MOVED = 10.0  # of the squares of what is added to a drawn body's coordinates, of a chart's side
PLACES_SWIM = 10.0  # of their changes in time beside those of colours: colours change so much along a chart
SAME = 0.02  # metres of depth by which one place of a mesh may be off in two frames
# The masks that came along form the mask at first, then hardly hold it.
MASK = {"static": 0.3, "dynamic": 0.2}

CLOTHES = 5  # labels' pixels, 10 of 256, that clothes and hair stand off the body at the most
RIM = 2  # pixels inside of the outline that no colour is learned of
NEAR = 7  # pixels, an odd number: so wide around the person nothing is learned of the background


def of_mesh(labelled: Labelling, posed: Posed, camera: Camera, inside: torch.Tensor
            ) -> dict[str, torch.Tensor]:
    """How far labels are off those of a registered mesh on its charts, where a picture shows the person.

    inside (B, 1, H, W) of the pictures' size
    """
    height, width = labelled.logits.shape[2:]
    with torch.no_grad():
        seen = camera.crop(0, 0, STEP * width, STEP * height).resize((height, width))
        room = STEP * width - inside.shape[3], STEP * height - inside.shape[2]
        inside = functional.avg_pool2d(functional.pad(inside, (0, room[0], 0, room[1])), STEP) > 0.999
        with torch.autocast(inside.device.type, enabled=False):
            iuv = gbuffer(posed, seen, (height, width)).iuv() * inside
    return on_parts(labelled, iuv[:, 0].round().long(), iuv[:, 1:])


def on_parts(labelled: Labelling, part: torch.Tensor, uv: torch.Tensor) -> dict[str, torch.Tensor]:
    """How far labels are off given ones, where these have a part: (B, h, w), and uv (B, 2, h, w)."""
    right = functional.cross_entropy(labelled.logits, part, reduction="none")[:, None]
    return {"part": PART * losses.weighted_mean(right, (part > 0).to(right)[:, None]),
            "place": PLACE * misplaced(labelled, part, uv)}


def beside(labelled: Labelling, part: torch.Tensor) -> torch.Tensor:
    """How far labels are off the background where no part (B, h, w) is near: clothes reach no farther."""
    near = functional.max_pool2d((part > 0).to(labelled.logits)[:, None], 1 + 2 * CLOTHES, 1, CLOTHES)
    wrong = functional.cross_entropy(labelled.logits, torch.zeros_like(part), reduction="none")[:, None]
    return PART * losses.weighted_mean(wrong, (near == 0).to(wrong))


def given(labelled: Labelling, view: View, whole: bool = False) -> dict[str, torch.Tensor]:
    """How far the labels are off those that a view came with; whole: learned of nothing else.

    Where a mask has somebody and DensePose nobody, nothing is known.
    """
    if view.labels is None:
        return {}
    on, off = ((view.certain & seen).to(view.image) for seen in (view.mask > 0.5, view.mask < 0.5))
    planes = torch.cat([view.labels[:, :1].round() * on, view.labels[:, 1:], on, off], 1)
    part, u, v, on, off = _coarse(planes, labelled.logits.shape[2:]).unbind(1)
    counts = on * (part > 0) + (off if whole else 0)
    right = functional.cross_entropy(labelled.logits, part.long(), reduction="none")[:, None]
    part_weight, place_weight = (1.0, 5.0) if whole else (PART, PLACE)
    return {"part": part_weight * losses.weighted_mean(right, counts[:, None]),
            "place": place_weight * misplaced(labelled, part.long(), torch.stack([u, v], 1))}


def perceived(config: Config, drawn: torch.Tensor, view: View, known: torch.Tensor
              ) -> dict[str, torch.Tensor]:
    """What makes pictures sharp, and takes longer than the rest."""
    terms = {}
    if config.structure:
        terms["structure"] = config.structure * losses.structure(drawn, view.image, known)
    if config.perceptual:
        distance = losses.perceptual(drawn, view.image, known)
        if distance is not None:
            terms["perceptual"] = config.perceptual * distance
    return terms


def lacking_detail(drawn: torch.Tensor, view: View, inside: torch.Tensor) -> torch.Tensor:
    """How far the strength of a drawn picture's detail is off a taken one's, whatever the detail is.

    The root of the Laplacian's mean square around every pixel (9 x 9, all of them inside). What minimises
    squared errors is a mean, and blurred; Sun et al. have an adversary and a VGG for this, which take minutes
    longer.
    """
    count = _around(inside)
    strengths = []
    for picture in (drawn, view.image):
        wide = functional.pad(picture, (1, 1, 1, 1), mode="replicate")
        four = wide[..., 1:-1, :-2] + wide[..., 1:-1, 2:] + wide[..., :-2, 1:-1] + wide[..., 2:, 1:-1]
        squared = (four - 4 * picture).square().sum(1, keepdim=True) * inside
        strengths.append((_around(squared) / count.clamp(min=1e-6) + 1e-4).sqrt())
    return losses.weighted_mean((strengths[0] - strengths[1]).abs(), inside)


def _around(planes: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool2d(planes, 9, 1, 4)


def flickering(drawn: torch.Tensor, view: View) -> torch.Tensor:
    """How differently a drawn picture and one that was taken change from the one before, on the person.

    Both changes are along the flow; what is compared is each as it is, with its sign, so that errors may stay
    on the body and must not come and go. Sun et al. compare a drawn picture with the one before alone: then
    what moved, or was lit otherwise, was not to change either, and the person is blurred.
    """
    flow, trusted = view.flow.chunk(2)[1].split([2, 1], 1)
    before, after = view.certain.to(drawn).chunk(2)
    trusted = trusted * after * (warped(before, flow) > 0.999) * (view.mask.chunk(2)[1] > 0.5)
    before, after = (drawn - view.image).chunk(2)
    return losses.weighted_mean((after - warped(before, flow)).abs(), trusted)


def swimming(places: torch.Tensor, added: torch.Tensor, buffer: GBuffer) -> torch.Tensor:
    """How much what is mended of a drawn body, and added to it, changes from one frame to the next.

    places  (B, 2, H, W)  what is added to coordinates, of a chart's side
    added   (B, 3, H, W)  to colours
    buffer  the body, whose frames are one after the other as `View.flow` has them

    It is compared along the mesh itself, where all that stays on the body costs nothing. Along the film's
    flow alone a sharp texture pays for a mesh that slips, and what was steadier was mostly blurred.
    """
    flow, seen = along(buffer)

    def changes(planes):
        before, after = planes.to(flow).chunk(2)
        return losses.l1(after, warped(before, flow), seen)

    return PLACES_SWIM * changes(places) + changes(added)


@torch.no_grad()
def along(buffer: GBuffer) -> tuple[torch.Tensor, torch.Tensor]:
    """Flow (B / 2, 2, H, W) from the frames after to those before, of what a body's mesh shows, and where.

    That is where both show the same place of it: (B / 2, 1, H, W) 1, elsewhere 0.
    """
    count, height, width = buffer.shape
    half = count // 2
    later = buffer.picture >= half
    with torch.autocast(buffer.depth.device.type, enabled=False):  # in half precision pixels are lost
        places, depth = buffer.camera.project(buffer.posed.vertices)
    rows = corner_rows(buffer.posed.surface.faces, buffer.face[later], buffer.picture[later] - half,
                       places.shape[1])
    there = weighted(torch.cat([places, depth[..., None]], 2).flatten(0, 1), rows, buffer.barycentric[later])
    pixels = buffer.pixels[later]
    here = torch.stack([pixels % width, pixels // width % height], 1) + 0.5
    planes = scattered(torch.cat([there[:, :2] - here, there[:, 2:], torch.ones_like(there[:, 2:])], 1),
                       pixels - half * height * width, (half, height, width)).permute(0, 3, 1, 2)
    flow, depth, covered = planes.split([2, 1, 1], 1)
    front = buffer.image(torch.stack([buffer.depth, torch.ones_like(buffer.depth)], 1))[:half]
    front, whole = warped(front, flow).split(1, 1)
    return flow, covered * (lands(flow) & (whole > 0.999) & ((front - depth).abs() < SAME)).to(flow)


def well_inside(view: View) -> torch.Tensor:
    """(B, 1, H, W) 1 where a picture certainly shows the person alone, RIM pixels and more from the outline.

    A mask of ones and zeros has pixels at its outline that are half background. Colours that learn of them
    are too bright before a bright wall, and where colours are too bright a mask has to be too wide to come to
    the same picture: by a fifth of its area, on a man in black.
    """
    off = 1 - view.trusted().to(view.image)
    return 1 - functional.max_pool2d(off, 1 + 2 * RIM, 1, RIM)


def fixed(rgb: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Colours that learn inside the person alone: at the outline only the mask is to say what is seen.

    Else the person grows a rim of the background's colours, with a mask of 1, and texels become as bright as
    the wall behind: 3 pixels of 256, and 0.04, on a man in black.
    """
    return torch.where(inside > 0, rgb, rgb.detach())


@torch.no_grad()
def away(rendering: Rendering, view: View) -> torch.Tensor:
    """(B, 1, H, W) 1 where neither the drawn mask nor the one that came along has anybody near."""
    person = torch.maximum(rendering.mask, view.mask * view.certain)
    return (functional.max_pool2d(person, NEAR, 1, NEAR // 2) < 0.1).to(person)


def _coarse(planes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Planes (B, C, H, W), of which the first is a part, STEP times smaller and rounded up: (B, C, h, w).

    Each place is the mean of the first and the last of its pixels; where these are of two parts it is 0.
    """
    room = [STEP * small - large for small, large in zip(size, planes.shape[2:], strict=True)]
    planes = functional.pad(planes, (0, room[1], 0, room[0]))
    first, last = (planes[..., corner::STEP, corner::STEP] for corner in (0, STEP - 1))
    return (first + last) / 2 * (first[:, :1] == last[:, :1])


def misplaced(labelled: Labelling, part: torch.Tensor, uv: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of coordinates, where a part (B, H, W) is seen; uv (B, 2, H, W)."""
    pixels = (part.flatten() > 0).nonzero()[:, 0]
    wanted = uv.permute(0, 2, 3, 1).flatten(0, 2)[pixels]
    count = mean_of_all(uv.new_tensor(float(wanted.numel()))).clamp(min=1e-12)
    if not len(pixels):
        return labelled.chart.sum() * 0
    return (labelled.uv(pixels, part.flatten()[pixels]) - wanted).abs().sum() / count
