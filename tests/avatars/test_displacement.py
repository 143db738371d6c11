"""What clothes stand off is read from outlines: of a ball that is filmed in a thicker coat."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from anr_core.avatars import configure, make_avatar
from anr_core.avatars.displacement import displaced, displacement
from anr_core.avatars.outlines import Outline
from anr_core.body import Pose, Posed, Surface
from anr_core.camera import orbit
from anr_core.capture.view import View
from anr_core.rasterizer import rasterize

SIZE = (96, 96)
RADIUS, COAT = 0.3, 0.03  # metres


def ball(*pieces):
    """Balls as one posed mesh: (radius, centre) of each."""
    balls = [trimesh.creation.icosphere(3, radius).apply_translation(centre) for radius, centre in pieces]
    whole = trimesh.util.concatenate(balls)
    faces = torch.from_numpy(np.array(whole.faces))
    uv = torch.zeros(1, 2)
    surface = Surface(faces, uv, torch.zeros_like(faces), torch.ones(len(faces), dtype=torch.int64))
    return Posed(torch.from_numpy(np.array(whole.vertices)).float()[None], None, surface)


def film(shown, count=36, known=1.0):
    """Views of a mesh from all around: its mask, and what of it can be believed."""
    heights = torch.linspace(-1.2, 1.2, count)
    cameras = orbit(torch.zeros(1, 3), torch.arange(count) * 2.4, heights, 2.0, 0.5, SIZE,
                    torch.tensor([0.0, 0.0, 1.0]))
    views = []
    for row in range(count):
        camera = cameras[row:row + 1]
        there = rasterize(shown.vertices, shown.surface.faces, camera, SIZE).face_id >= 0
        mask = there[:, None].float()
        views.append(View(torch.zeros(1, 3, *SIZE), mask, torch.full_like(mask, known), camera,
                          Pose.of_frame(torch.tensor([row])), None, ["ball"], ["around"], torch.tensor([row]),
                          torch.tensor([0.0])))
    return views


def found(naked, views):
    return displacement(lambda most: [(view, naked) for view in views[:most]], len(views),
                        naked.vertices.shape[1])


@pytest.fixture(scope="module")
def coated():
    return film(ball((RADIUS + COAT, [0, 0, 0])))


def test_a_coat_is_found_everywhere(coated):
    naked = ball((RADIUS, [0, 0, 0]))
    offsets = found(naked, coated)
    pixel = 2.0 * 0.5 / SIZE[0]
    assert offsets.mean() == pytest.approx(COAT, abs=0.15 * pixel)
    assert (offsets - COAT).abs().max() < 0.5 * pixel
    reached = displaced(naked, offsets).vertices.norm(dim=-1)
    torch.testing.assert_close(reached, torch.full_like(reached, RADIUS + COAT), atol=0.5 * pixel, rtol=0)


def test_a_body_without_clothes_stays():
    naked = ball((RADIUS, [0, 0, 0]))
    assert found(naked, film(naked)).abs().max() < 0.002


def test_a_piece_inside_follows_what_is_around_it(coated):
    """An eye, which no outline ever passes, would else be left behind by the face."""
    naked = ball((RADIUS, [0, 0, 0]), (0.05, [RADIUS - 0.06, 0, 0]))
    offsets = found(naked, coated)
    eye = offsets[naked.surface.faces.max() + 1 - 642:]
    assert eye.mean() == pytest.approx(COAT, rel=0.3)


def test_outlines_that_are_not_certain_say_nothing():
    naked, dressed = ball((RADIUS, [0, 0, 0])), ball((RADIUS + COAT, [0, 0, 0]))
    assert found(naked, film(dressed, known=0.0)).abs().max() == 0


def test_few_pictures_leave_the_mesh_where_it_is(coated):
    assert not found(ball((RADIUS, [0, 0, 0])), coated[:29]).any()


def test_what_ends_at_the_edge_of_the_picture_has_no_outline_there(coated):
    naked, view = ball((RADIUS, [0, 0, 0])), coated[0]
    half = replace(view, camera=view.camera.crop(0, 0, 48, 96), image=view.image[..., :48],
                   mask=view.mask[..., :48], certain=view.certain[..., :48])
    whole, left = (Outline.of(v).crossed_by(naked.vertices[0], naked.surface.faces) for v in (view, half))
    assert 0.4 < len(left.gap) / len(whole.gap) < 0.6
    assert left.gap.mean() == pytest.approx(COAT, rel=0.1)


def test_an_outline_knows_how_far_and_which_way_it_is_to_go(coated):
    naked = ball((RADIUS, [0, 0, 0]))
    crossings = Outline.of(coated[0]).crossed_by(naked.vertices[0], naked.surface.faces)
    outwards = crossings.place / crossings.place.norm(dim=1, keepdim=True)
    assert (crossings.across * outwards).sum(1).mean() == pytest.approx(1, abs=0.05)
    around = crossings.weight.sum() * (1 + (COAT / 0.025) ** 2)  # as if nothing were in doubt
    assert around == pytest.approx(2 * np.pi * RADIUS, rel=0.2)  # a slanted line has fewer pixels


def test_an_avatar_is_displaced_when_its_training_begins(small_capture):
    pictures = [("elsewhere", frame) for frame in range(100)]
    config = configure(size=64, window=48, texture_size=64, width=4)
    avatar = make_avatar(config, small_capture.body.surface, pictures)

    def views(most):
        for view in small_capture.evenly(most).views(crop="body", size=64):
            posed = small_capture.body(view.pose)
            # as if the person wore a coat: the registered body is thinner than the mask
            yield view, displaced(Posed(posed.vertices, None, avatar.surface),
                                  torch.full((posed.vertices.shape[1],), -0.02))

    avatar.begin(avatar.stages(config)[0], views)
    assert avatar.displacement.mean() > 0.01
