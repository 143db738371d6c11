"""The neural texture and the frames that are laid onto it; the body is a quad whose texels are known."""

import math
from functools import partial

import pytest
import torch
from scipy.spatial import cKDTree
from torch.autograd import gradcheck
from torch.nn import functional

from anr_core.body import Posed, Surface
from anr_core.body.anny import AnnyBody
from anr_core.camera import look_at
from anr_core.parts import charted
from anr_core.texture import (
    Texture,
    Unwrapping,
    belonging,
    bilinear,
    mix,
    on_texels,
    sheet,
    sheet_of,
    spread,
    table,
    weave,
)

SIZE = 32


def random_table(parts, height, width, channels=3, seed=0, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    return torch.rand(parts * height * width, channels, generator=random, dtype=dtype)


def random_points(count, charts=1, seed=1, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    return (torch.randint(charts, (count,), generator=random),
            torch.rand(count, 2, generator=random, dtype=dtype))


# sampling


@pytest.mark.parametrize("height, width", [(7, 5), (1, 4), (3, 1), (1, 1)])
def test_sampling_agrees_with_grid_sample(height, width):
    table = random_table(2, height, width)
    chart, uv = random_points(60, charts=2)
    uv[:6] = torch.tensor([[0, 0], [1, 1], [0, 1], [1, 0], [0.5, 0.5], [1 / 14, 0.3]])
    pictures = table.view(2, height, width, 3).movedim(-1, 1)
    grid = torch.stack([2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1]], -1)[:, None, None]
    expected = functional.grid_sample(pictures[chart], grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(bilinear(table, (2, height, width), chart, uv), expected[:, :, 0, 0])


def test_gradients_match_finite_differences_in_texels_and_in_uv():
    chart, uv = random_points(9, charts=2)
    sample = partial(bilinear, size=(2, 4, 5))
    table = random_table(2, 4, 5).requires_grad_()
    assert gradcheck(lambda table, uv: sample(table, chart=chart, uv=uv), (table, uv.requires_grad_()))


def test_no_points_are_no_samples():
    chart, uv = random_points(0)
    assert bilinear(random_table(1, 4, 4), (1, 4, 4), chart, uv).shape == (0, 3)


# the pyramid


def test_levels_are_summed_each_half_as_wide_as_the_finer_one():
    texture = Texture(channels=5, size=16, levels=3)
    assert texture.sizes == [(1, 16, 16), (1, 8, 8), (1, 4, 4)]
    with torch.no_grad():
        for level, value in zip(texture.levels, (1.0, 10.0, 100.0), strict=True):
            level.fill_(value)
    sampled = texture(torch.tensor([3, 7]), torch.tensor([[0.2, 0.9], [0.5, 0.1]]))
    torch.testing.assert_close(sampled, torch.full((2, 5), 111.0))


def test_one_atlas_knows_no_parts_and_charts_belong_to_one_part_each():
    uv = torch.full((3, 2), 0.4)
    atlas, charts = Texture(channels=4, size=8, levels=2), Texture(channels=4, size=8, levels=2, charts=3)
    with torch.no_grad():
        for texture in (atlas, charts):
            for level in texture.levels:
                level.copy_(torch.arange(len(level))[:, None].expand_as(level))
    one, other, third = charts(torch.tensor([1, 2, 3]), uv)[:, 0].tolist()
    assert other - one == pytest.approx(64 + 16) and third - other == pytest.approx(64 + 16)
    assert atlas(torch.tensor([1, 2, 3]), uv)[:, 0].unique().numel() == 1


def test_a_texture_of_more_levels_than_it_has_texels_is_refused():
    with pytest.raises(ValueError, match="4 texels has no 4 levels"):
        Texture(size=4, levels=4)


@pytest.mark.parametrize("charts", [1, 2])
def test_initializing_reproduces_a_picture_exactly(charts):
    texture = Texture(channels=6, size=16, levels=3, charts=charts)
    random = torch.Generator().manual_seed(0)
    picture = torch.rand(charts, 3, 16, 16, generator=random)
    texture.initialize(picture, random)
    torch.testing.assert_close(texture.image()[:, :3], picture)
    rows, columns = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    centres = torch.stack([(columns + 0.5) / 16, 1 - (rows + 0.5) / 16], -1).flatten(0, 1)
    for chart in range(charts):
        sampled = texture(torch.full((256,), chart + 1), centres)
        torch.testing.assert_close(sampled[:, :3].T.view(3, 16, 16), picture[chart])


def test_initializing_gives_the_other_channels_small_noise_on_the_coarsest_level():
    texture = Texture(channels=8, size=16, levels=3)
    texture.initialize(torch.full((1, 3, 16, 16), 0.5), torch.Generator().manual_seed(0), noise=0.05)
    assert 0.03 < texture.levels[-1][:, 3:].std().item() < 0.07
    assert all(not level[:, 3:].any() for level in texture.levels[:-1])


def test_writing_colour_again_leaves_the_other_channels():
    texture = Texture(channels=8, size=16, levels=3)
    texture.initialize(torch.zeros(1, 3, 16, 16), torch.Generator().manual_seed(0))
    before = [level[:, 3:].clone() for level in texture.levels]
    texture.write(torch.full((1, 3, 16, 16), 0.3))
    assert all(torch.equal(level[:, 3:], old) for level, old in zip(texture.levels, before, strict=True))
    torch.testing.assert_close(texture.image()[:, :3], torch.full((1, 3, 16, 16), 0.3))


def test_detail_costs_more_on_a_finer_level():
    texture = Texture(channels=4, size=16, levels=3)
    costs = []
    for level in texture.levels:
        with torch.no_grad():
            level[:, 1] = 1.0
            costs.append(float(texture.regularization(slice(1, 2))))
            assert not texture.regularization(slice(2, None))
            level.zero_()
    assert costs == [1.0, 0.25, 0.0625]


# frames onto texels


def quad(left=-0.5, right=0.5, z=0.0):
    """Vertices (4, 3) of an upright rectangle, 1 m high, that looks along +Z."""
    return torch.tensor([[left, -0.5, z], [right, -0.5, z], [right, 0.5, z], [left, 0.5, z]])


FACES = torch.tensor([[0, 1, 2], [0, 2, 3]])
UV = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]])
QUAD = Surface(FACES, UV, FACES, torch.tensor([1, 1]))
# two quads, the first on the left half of the atlas and the second on the right
HALF = torch.tensor([0.5, 1.0])
PAIR = Surface(torch.cat([FACES, FACES + 4]), torch.cat([UV * HALF, UV * HALF + torch.tensor([0.5, 0])]),
               torch.cat([FACES, FACES + 4]), torch.tensor([1, 1, 2, 2]))


def camera(*place):
    """Looks at the origin, +Y up; from (0, 0, 2) the quad fills the picture exactly, +X on the right."""
    K = torch.tensor([[[2.0 * SIZE, 0, SIZE / 2], [0, 2.0 * SIZE, SIZE / 2], [0, 0, 1]]])
    return look_at(torch.tensor([place or (0.0, 0.0, 2.0)]), torch.zeros(1, 3), (0, 1, 0), K, (SIZE, SIZE))


def noise(seed=0):
    return torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def plain(*rgb):
    return torch.tensor(rgb)[None, :, None, None].expand(1, 3, SIZE, SIZE)


EVERYWHERE = torch.ones(1, 1, SIZE, SIZE, dtype=torch.bool)


def unwrapped(surface, *pictures, charts=1, size=SIZE):
    """The texture of (image, trusted, vertices, camera) and its weights."""
    unwrapping = Unwrapping(surface, size, charts)
    for image, trusted, vertices, eye in pictures:
        unwrapping.add(image, trusted, Posed(vertices[None], None, surface), eye)
    return unwrapping.texture()


@pytest.mark.parametrize("surface", [QUAD, Surface(FACES, UV.flip(0), 3 - FACES, QUAD.part)],
                         ids=["corners share an index", "corners have their own"])
def test_a_quad_seen_squarely_gets_its_picture_back_the_right_way_up(surface):
    rgb, weight = unwrapped(surface, (noise(), EVERYWHERE, quad(), camera()))
    # texels and pixels coincide; at the very edge half of what is sampled lies outside of the picture
    torch.testing.assert_close(rgb[..., 1:-1, 1:-1], noise()[..., 1:-1, 1:-1], atol=1e-4, rtol=0)
    assert float(weight[..., 1:-1, 1:-1].min()) > 0.8


def test_what_only_one_side_shows_is_lent_to_the_other_of_anny():
    body = AnnyBody()
    posed = body(body.rest_pose())
    # seen from its left, where +X is: in stripes of red and green, 25 cm wide
    eye = look_at(torch.tensor([[4.0, 0, 0.9]]), torch.tensor([[0.0, 0, 0.9]]), (0, 0, 1),
                  torch.tensor([[[256.0, 0, 64], [0, 256, 64], [0, 0, 1]]]), (128, 128))
    red = (torch.arange(128) // 16 % 2).float()
    stripes = torch.stack([red, 1 - red, 0 * red])[None, ..., None].expand(1, 3, 128, 128)
    unwrapping = Unwrapping(body.surface, 128)
    unwrapping.add(stripes, torch.ones(1, 1, 128, 128, dtype=torch.bool), posed, eye)
    rgb, weight = unwrapping.texture()
    corners = body.surface.uv[body.surface.uv_faces].mean(1)
    colours = bilinear(table(rgb), (1, 128, 128), torch.zeros(len(corners), dtype=torch.long), corners)
    middle = posed.vertices[0][body.surface.faces].mean(1)
    across = cKDTree(middle * torch.tensor([-1.0, 1, 1])).query(middle)[1]
    left = middle[:, 0] > 0.05
    assert float((weight > 0).float().mean()) < 0.5
    # of what is around it alone 0.19
    assert float((colours - colours[across])[left][:, :2].abs().mean()) < 0.05


def test_what_another_surface_hides_does_not_count():
    # the second quad stands 30 cm before the left half of the first
    vertices = torch.cat([quad(), quad(-0.5, 0.0, z=0.3)])
    _, weight = unwrapped(PAIR, (noise(), EVERYWHERE, vertices, camera()))
    first, second = weight[0, 0, 8:-8].split(SIZE // 2, 1)
    assert not first[:, :8].any()  # the front quad covers 1.18 times what is behind it
    assert (first[:, 10:-1] > 0.8).all() and (second[:, 4:-4] > 0.9).all()


def test_the_back_of_a_surface_does_not_count():
    with_back = unwrapped(QUAD, (noise(), EVERYWHERE, quad(), camera(0.0, 0.0, -2.0)))
    assert not with_back[1].any()


def test_texels_that_are_not_trusted_do_not_count():
    trusted = EVERYWHERE.clone()
    trusted[..., :, :16] = False
    _, weight = unwrapped(QUAD, (noise(), trusted, quad(), camera()))
    assert not weight[0, 0, :, :16].any() and (weight[0, 0, 1:-1, 17:-1] > 0.8).all()


def test_behind_the_camera_nothing_is_seen():
    _, weight = unwrapped(QUAD, (noise(), EVERYWHERE, quad(z=4.0), camera()))
    assert not weight.any()


def test_a_view_weighs_the_squared_cosine_of_its_slant():
    slanted = camera(2 * math.sin(1.0), 0.0, 2 * math.cos(1.0))
    rgb, weight = unwrapped(QUAD, (plain(0.9, 0.5, 0.1), EVERYWHERE, quad(), camera()),
                            (plain(0.1, 0.5, 0.9), EVERYWHERE, quad(), slanted))
    share = math.cos(1.0) ** 2
    middle = (0, slice(None), SIZE // 2, SIZE // 2)
    assert float(weight[middle]) == pytest.approx(1 + share, abs=0.02)
    expected = (torch.tensor([0.9, 0.5, 0.1]) + share * torch.tensor([0.1, 0.5, 0.9])) / (1 + share)
    torch.testing.assert_close(rgb[middle], expected, atol=0.01, rtol=0)


def test_one_chart_a_part_fills_each_with_its_part():
    whole_charts = Surface(PAIR.faces, torch.cat([UV, UV]), PAIR.uv_faces, PAIR.part)
    vertices = torch.cat([quad(-0.5, 0.0), quad(0.0, 0.5)])
    picture = torch.cat([plain(1.0, 0, 0)[..., :16], plain(0, 0, 1.0)[..., 16:]], -1)
    rgb, weight = unwrapped(whole_charts, (picture, EVERYWHERE, vertices, camera()), charts=2)
    assert rgb.shape == (2, 3, SIZE, SIZE) and weight.shape == (2, 1, SIZE, SIZE)
    for chart, colour in enumerate(([1.0, 0, 0], [0, 0, 1.0])):
        torch.testing.assert_close(rgb[chart, :, 4:-4, 4:-4].mean((1, 2)), torch.tensor(colour))


# holes


def grid_surface(count):
    """A square of count x count cells on the surface of the quad, row by row from the bottom."""
    rows, columns = torch.meshgrid(torch.arange(count + 1), torch.arange(count + 1), indexing="ij")
    uv = torch.stack([columns, rows], -1).reshape(-1, 2) / count
    first = (rows[:-1, :-1] * (count + 1) + columns[:-1, :-1]).flatten()[:, None]
    corners = (0, 1, count + 2), (0, count + 2, count + 1)
    faces = torch.cat([first + torch.tensor(triangle) for triangle in corners])
    vertices = torch.cat([uv - 0.5, torch.zeros(len(uv), 1)], 1)
    return Surface(faces, uv, faces, torch.ones(len(faces), dtype=torch.int64)), vertices


def test_holes_take_the_colours_around_them_on_the_surface():
    surface, vertices = grid_surface(8)
    ramp = torch.linspace(0, 1, SIZE).expand(1, 3, SIZE, SIZE)  # from left to right
    trusted = EVERYWHERE.clone()
    trusted[..., 10:22, 10:22] = False
    rgb, weight = unwrapped(surface, (ramp, trusted, vertices, camera()))
    assert not weight[0, 0, 11:21, 11:21].any()
    torch.testing.assert_close(rgb[..., 10:22, 10:22], ramp[..., 10:22, 10:22], atol=0.08, rtol=0)


def test_beyond_its_outline_a_chart_goes_on():
    inner = Surface(FACES, UV * 0.5 + 0.25, FACES, QUAD.part)
    rgb, _ = unwrapped(inner, (plain(0.2, 0.4, 0.6), EVERYWHERE, quad(), camera()))
    torch.testing.assert_close(rgb, plain(0.2, 0.4, 0.6), atol=1e-3, rtol=0)


def test_unseen_islands_take_the_mean_colour():
    vertices = torch.cat([quad(), quad(z=4.0)])  # the second quad is behind the camera
    rgb, _ = unwrapped(PAIR, (plain(0.2, 0.4, 0.6), EVERYWHERE, vertices, camera()))
    torch.testing.assert_close(rgb, plain(0.2, 0.4, 0.6), atol=1e-3, rtol=0)


def test_without_any_trusted_pixel_the_texture_is_grey():
    rgb, weight = unwrapped(QUAD, (noise(), ~EVERYWHERE, quad(), camera()))
    torch.testing.assert_close(rgb, plain(0.5, 0.5, 0.5))
    assert not weight.any()


def test_without_pictures_there_is_no_texture():
    with pytest.raises(ValueError, match="at least one view"):
        Unwrapping(QUAD, SIZE).texture()


def test_spreading_keeps_known_colours_and_fills_others_from_their_neighbours():
    # a strip of five vertices' pairs: known at both ends
    upper, lower = torch.arange(5), torch.arange(5, 10)
    faces = torch.cat([torch.stack([upper[:-1], lower[:-1], upper[1:]], 1),
                       torch.stack([upper[1:], lower[:-1], lower[1:]], 1)])
    colours, weight = torch.zeros(10, 3), torch.zeros(10)
    ends = torch.tensor([0, 5, 4, 9])
    colours[ends], weight[ends] = torch.tensor([0.0, 0, 1, 1])[:, None].expand(4, 3), 1e4
    filled = spread(colours, weight, faces)
    torch.testing.assert_close(filled[ends], colours[ends], atol=1e-3, rtol=0)
    for row in (upper, lower):
        assert (filled[row, 0].diff() > 0.05).all()  # from one end to the other it rises


# groups of pictures


def test_leaving_a_group_out_equals_never_having_added_it():
    grouped, alone = Unwrapping(QUAD, SIZE, groups=3), Unwrapping(QUAD, SIZE)
    posed = Posed(quad()[None], None, QUAD)
    for index in range(3):
        picture = noise(index), EVERYWHERE, posed, camera(0.2 * index, 0.0, 2.0)
        grouped.add(*picture, (0, 1 if index == 2 else 2))
        if index < 2:
            alone.add(*picture)
    for found, expected in zip(grouped.texture(without=1), alone.texture(), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    for found, expected in zip(grouped.texture(group=2), alone.texture(), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_leaving_the_only_pictures_out_leaves_holes():
    unwrapping, posed = Unwrapping(QUAD, SIZE, groups=2), Posed(quad()[None], None, QUAD)
    for index in range(3):
        unwrapping.add(noise(index), EVERYWHERE, posed, camera(0.1 * index, 0.1, 2.0), (0, 1))
    rgb, weight = unwrapping.texture(without=1)
    assert not weight.any() and torch.equal(rgb, plain(0.5, 0.5, 0.5))


# two people's textures


def strip(cells=40):
    """A flat strip of quads along u, the left half part 1, the right half part 2; its atlas is itself."""
    column = torch.arange(cells + 1)
    uv = torch.stack([torch.cat([column, column]) / cells, torch.arange(2).repeat_interleave(cells + 1)], 1)
    low, high = column[:-1], column[:-1] + cells + 1
    faces = torch.cat([torch.stack([low, low + 1, high], 1), torch.stack([low + 1, high + 1, high], 1)])
    part = 1 + (faces.min(1).values % (cells + 1) >= cells // 2).long()
    return Surface(faces, uv, faces, part)


def shares(parts, size):
    return on_texels(belonging(parts, strip()), strip(), size)


def test_belonging_goes_softly_from_0_to_1_across_a_seam():
    row = shares([2], 80)[0, 0, 40]
    assert not row[:24].any() and (row[56:] == 1).all()  # eight of forty edges off the seam
    assert float(row[39:41].mean()) == pytest.approx(0.5, abs=0.1)  # the diagonals lean to one side
    assert (row.diff() >= -1e-6).all() and row.diff().max() < 0.1
    other = shares([1], 80)[0, 0, 40]
    torch.testing.assert_close(other, 1 - row, atol=1e-3, rtol=0)


def test_all_parts_belong_wholly_and_none_not_at_all():
    assert (shares([1, 2], 16) == 1).all() and not shares([], 16).any()


def test_a_mixture_is_the_others_where_it_belongs():
    random = torch.Generator().manual_seed(0)
    mine, other = (Texture(channels=5, size=16, levels=3) for _ in range(2))
    with torch.no_grad():
        for level in (*mine.levels, *other.levels):
            level.copy_(torch.rand(level.shape, generator=random))
    share = torch.rand(1, 1, 16, 16, generator=random)
    before = mine.image()
    expected = torch.lerp(mine.image(), other.image(), share)
    torch.testing.assert_close(mix(mine, other, share).image(), expected)
    assert torch.equal(mine.image(), before)


def test_a_sheet_shows_every_chart_once_in_reading_order():
    charts = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 2, 3, 4)
    shown = sheet(charts)
    assert shown.shape == (2, 6, 12)
    assert shown[0, ::3, ::4].tolist() == [[0, 1, 2], [3, 4, 0]]
    assert torch.equal(sheet_of(table(charts), (5, 3, 4)), shown)
    assert torch.equal(sheet(charts[3:4]), charts[3])


def test_an_atlas_woven_into_charts_shows_the_same_on_the_surface():
    surface = AnnyBody().surface
    charts = charted(surface)
    rows = torch.linspace(0, 1, 256)
    atlas = torch.stack([rows.expand(256, -1), rows[:, None].expand(-1, 256)])[None]  # smooth
    woven = weave(atlas, surface, charts, 96, 24)
    assert woven.shape == (24, 2, 96, 96)
    face = (surface.part < 3).nonzero()[::50, 0]  # of the torso, which has no folds
    middle = [uv[corners[face]].mean(1) for uv, corners in ((surface.uv, surface.uv_faces),
                                                            (charts.uv, charts.uv_faces))]
    wanted = bilinear(table(atlas), (1, 256, 256), torch.zeros(len(face), dtype=torch.long), middle[0])
    found = bilinear(table(woven), (24, 96, 96), surface.part[face] - 1, middle[1])
    off = (wanted - found).abs().amax(1)
    assert off.median() < 0.005 and (off < 0.05).float().mean() > 0.9
