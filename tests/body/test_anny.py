"""The default body: true to anny, mirrored, differentiable, its parts and keypoints where they belong."""

from dataclasses import replace

import pytest
import roma
import torch

from anr_core import skeleton
from anr_core.body import Pose
from anr_core.body.anny import (
    FILE,
    PARTS,
    AnnyBody,
    Shape,
    mirror,
    rest_from_shape,
    shape_coefficients,
)

J = len(skeleton.ANNY)
LEFT, RIGHT, MIDDLE = "left", "right", "middle"


@pytest.fixture(scope="module")
def body():
    return AnnyBody(Shape(gender=0.3, age=0.75, muscle=0.6, weight=0.4))


def random_shapes(count, generator):
    """Phenotypes (count, 11), half of them at corners."""
    shapes = torch.rand(count, 11, generator=generator)
    shapes[::2] = shapes[::2].round()
    shapes[:, 1] = shapes[:, 1] * 4 / 3 - 1 / 3
    return shapes


def random_pose(count, generator, scale=0.4):
    def noise(*shape):
        return torch.randn(*shape, generator=generator)

    return Pose(scale * noise(count, J - 1, 3), noise(count, 3), noise(count, 3))


def turned(**axis_angles):
    """A pose in which some joints are turned."""
    rotations = torch.zeros(1, J - 1, 3)
    for name, axis_angle in axis_angles.items():
        rotations[0, skeleton.ANNY.names.index(name) - 1] = torch.tensor(axis_angle)
    return Pose(rotations, torch.zeros(1, 3), torch.zeros(1, 3))


def side(name):
    return next((word for word in name.split("_") if word in (LEFT, RIGHT)), MIDDLE)


def test_gender_0_is_male():
    """The grown man is taller than the grown woman, and broader across his shoulders."""
    sizes = []
    for gender in (0, 1):
        body = AnnyBody(Shape(gender=gender))
        posed = body(body.rest_pose())
        left, right = (body.skeleton.names.index(f"{side}_shoulder") for side in (LEFT, RIGHT))
        sizes.append((float(posed.vertices[0, :, 2].max() - posed.vertices[0, :, 2].min()),
                      float((posed.joints[0, left] - posed.joints[0, right]).norm())))
    (height, shoulders), (other_height, other_shoulders) = sizes
    assert height > 1.05 * other_height and shoulders > 1.1 * other_shoulders


@pytest.fixture(scope="module")
def annys():
    anny = pytest.importorskip("anny", reason="anny is not installed: make body installs it")
    return anny.Anny(phenotypes="all"), anny.Anny()


def test_every_vertex_is_within_a_millimetre_of_anny_over_random_poses_and_shapes(body, annys):
    generator = torch.Generator().manual_seed(0)
    shapes, pose = random_shapes(16, generator), random_pose(16, generator)
    matrices = torch.eye(4, dtype=torch.float64).repeat(16, J, 1, 1)
    matrices[:, 1:, :3, :3] = roma.rotvec_to_rotmat(pose.rotations.double())
    matrices[:, 0, :3, :3] = roma.rotvec_to_rotmat(pose.root_rotation.double())
    matrices[:, 0, :3, 3] = pose.root_translation
    for model, phenotypes in ((annys[0], 11), (annys[1], 6)):
        shapes[:, phenotypes:] = 0.5  # what anny takes for the phenotypes that a model leaves out
        true = model(matrices, shapes[:, :phenotypes].double())
        posed = body.posed(rest_from_shape(shapes), pose)
        assert (posed.vertices - true["vertices"]).norm(dim=-1).max() < 1e-3
        assert (posed.joints - true["bone_poses"][..., :3, 3]).norm(dim=-1).max() < 1e-3


def test_keypoints_are_those_of_annys_own_regressor(body, annys):
    from anny.keypoints import KeypointsRegressor

    posed = body(random_pose(1, torch.Generator().manual_seed(1)))
    regressor = KeypointsRegressor.coco(annys[0])
    true = regressor({"vertices": posed.vertices.double()})[0]
    order = [regressor.labels.index(name) for name in skeleton.COCO23.names]
    assert (body.keypoints(posed, "coco23")[0] - true[order]).abs().max() < 1e-4


def test_faces_and_their_order_are_annys(body, annys):
    assert torch.equal(body.surface.faces, annys[0].faces)
    corners = annys[0].texture_coordinates[annys[0].face_texture_coordinate_indices]
    assert torch.equal(body.surface.uv[body.surface.uv_faces], corners.float())


def test_the_file_is_small_and_its_licence_stands_beside_it():
    assert FILE.stat().st_size < 5e6
    licence = FILE.with_name("anny-LICENSE.txt").read_text(encoding="utf-8")
    assert "CC0 1.0 Universal" in licence and "Apache" in licence


def test_the_rest_pose_stands_upright_on_the_ground_and_looks_along_minus_y(body):
    posed = body(body.rest_pose())
    points = dict(zip(skeleton.COCO23.names, body.keypoints(posed, "coco23")[0], strict=True))
    assert abs(float(posed.vertices[..., 2].min())) < 1e-6
    assert 1.5 < float(posed.vertices[..., 2].max()) < 2
    assert points["nose"][1] < points["left_ear"][1] - 0.05
    assert points["left_wrist"][0] > 0.3 and points["right_wrist"][0] < -0.3


def test_the_root_turns_the_person_about_the_pelvis_and_then_puts_it_in_its_place(body):
    pose = random_pose(1, torch.Generator().manual_seed(2))
    at_origin = body(replace(pose, root_rotation=torch.zeros(1, 3), root_translation=torch.zeros(1, 3)))
    posed = body(pose)
    assert torch.allclose(at_origin.joints[0, 0], torch.zeros(3))
    assert torch.allclose(posed.joints[:, 0], pose.root_translation)
    turn = roma.rotvec_to_rotmat(pose.root_rotation)
    assert torch.allclose(posed.vertices, at_origin.vertices @ turn.mT + pose.root_translation, atol=1e-5)


def test_bending_a_joint_moves_what_hangs_on_it_and_nothing_else(body):
    straight, bent = body(turned()), body(turned(left_knee=(1.0, 0.0, 0.0)))
    moved = (bent.joints - straight.joints)[0].norm(dim=-1) > 1e-6
    names = {name for name, has in zip(skeleton.ANNY.names, moved.tolist(), strict=True) if has}
    assert names == {name for name in skeleton.ANNY.names
                     if name.startswith("left_") and ("toe" in name or "ankle" in name or "shin" in name)}
    ankle = skeleton.ANNY.names.index("left_ankle")
    assert bent.joints[0, ankle, 1] > straight.joints[0, ankle, 1] + 0.2  # a knee bends to the back


def test_a_batch_of_poses_is_each_pose_alone(body):
    pose = random_pose(3, torch.Generator().manual_seed(3))
    alone = [body(Pose(pose.rotations[i:i + 1], pose.root_rotation[i:i + 1], pose.root_translation[i:i + 1]))
             for i in range(3)]
    assert torch.allclose(body(pose).vertices, torch.cat([one.vertices for one in alone]), atol=1e-5)


def test_a_fixed_shape_is_the_shape_posed_as_a_parameter(body):
    pose = random_pose(2, torch.Generator().manual_seed(4))
    as_parameter = body.posed(rest_from_shape(body.shape.tensor()), pose)
    assert torch.equal(body(pose).vertices, as_parameter.vertices)


def test_the_mirror_tables_are_involutions_that_keep_faces_and_parts(body):
    tables, surface = mirror(), body.surface
    for table in (tables.vertices, tables.faces, tables.joints, tables.parts):
        assert torch.equal(table[table], torch.arange(len(table)))
    opposite = tables.vertices[surface.faces[tables.faces]].sort(1).values
    assert torch.equal(opposite, surface.faces.sort(1).values)
    assert torch.equal(surface.part[tables.faces], tables.parts[surface.part])


def test_a_mirrored_pose_gives_the_mirrored_mesh():
    body = AnnyBody()
    pose = random_pose(1, torch.Generator().manual_seed(5), scale=0.3)
    flip = torch.tensor([-1.0, 1.0, 1.0])  # an axis of rotation keeps what a place loses
    tables = mirror()
    mirrored = Pose(-flip * pose.rotations[:, tables.joints[1:] - 1], -flip * pose.root_rotation,
                    flip * pose.root_translation)
    expected = flip * body(pose).vertices[:, tables.vertices]
    assert (body(mirrored).vertices - expected).norm(dim=-1).max() < 2e-3  # MakeHuman's own asymmetry


def test_parts_cover_all_faces_and_lie_on_their_sides(body):
    vertices, surface = body(turned()).vertices[0], body.surface
    assert surface.part.min() == 1 and surface.part.max() == len(PARTS) == 24
    center = vertices[surface.faces].mean(1)
    for number, name in enumerate(PARTS, 1):
        chosen = center[surface.part == number]
        assert len(chosen) > 100, name
        sign = {LEFT: 1, RIGHT: -1, MIDDLE: 0}[side(name)]
        assert bool((chosen[:, 0] * sign > -1e-4).all()), name
    middle = {name: center[surface.part == number].mean(0) for number, name in enumerate(PARTS, 1)}
    for limb in ("torso", "left_thigh", "right_thigh", "left_calf", "right_calf"):
        assert middle[f"{limb}_front"][1] < middle[f"{limb}_back"][1]
    for limb in ("left_upper_arm", "right_upper_arm", "left_forearm", "right_forearm"):
        assert middle[f"{limb}_inner"][0].abs() < middle[f"{limb}_outer"][0].abs()
    order = ("head_left", "torso_front", "left_thigh_front", "left_calf_front", "left_foot")
    heights = [float(middle[name][2]) for name in order]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize("names", ["coco23", "body25"])
def test_keypoints_lie_near_the_joints_of_the_same_name(body, names):
    posed = body(random_pose(1, torch.Generator().manual_seed(6), scale=0.2))
    keypoints = {"coco23": skeleton.COCO23, "body25": skeleton.BODY25}[names]
    points = body.keypoints(posed, names)
    assert points.shape == (1, len(keypoints), 3)
    i, j = skeleton.shared_joints(keypoints, skeleton.ANNY)
    distance = (points[0, i] - posed.joints[0, j]).norm(dim=-1)
    assert len(i) >= 12
    for joint, apart in zip(i, distance.tolist(), strict=True):
        limit = 0.13 if keypoints.names[joint] == "neck" else 0.05  # OpenPose's lies between the shoulders
        assert apart < limit, keypoints.names[joint]


def test_unknown_keypoints_are_refused_with_those_that_are_known(body):
    with pytest.raises(ValueError, match="use one of coco23, body25"):
        body.keypoints(body(turned()), "coco17")


def test_gradients_in_pose_and_shape_match_finite_differences(body):
    generator = torch.Generator().manual_seed(7)
    body = AnnyBody().double()
    chosen = torch.randint(0, 13718, (5,), generator=generator)
    joints = torch.tensor([skeleton.ANNY.names.index(name) - 1 for name in ("spine2", "left_elbow", "head")])

    def places(rotations, root_rotation, root_translation, phenotypes):
        every = torch.zeros(1, J - 1, 3, dtype=torch.float64).index_copy(1, joints, rotations)
        posed = body.posed(rest_from_shape(phenotypes), Pose(every, root_rotation, root_translation))
        return posed.vertices[:, chosen], posed.joints[:, -1]

    inputs = [torch.randn(1, 3, 3, generator=generator, dtype=torch.float64),
              *torch.randn(2, 1, 3, generator=generator, dtype=torch.float64),
              0.3 + 0.1 * torch.rand(1, 11, generator=generator, dtype=torch.float64)]
    assert torch.autograd.gradcheck(places, [value.requires_grad_() for value in inputs], fast_mode=True,
                                    atol=1e-4)


def test_the_gradient_at_rest_is_finite(body):
    pose = Pose(*(value.clone().requires_grad_() for value in (turned().rotations, *torch.zeros(2, 1, 3))))
    body(pose).vertices.square().sum().backward()
    assert pose.rotations.grad.isfinite().all() and pose.rotations.grad.abs().max() > 0


def test_phenotypes_between_two_anchors_mix_their_coefficients():
    two = torch.tensor([[0.0] + [0.5] * 10, [1.0] + [0.5] * 10])
    between = torch.lerp(two[:1], two[1:], 0.3)
    mixed = torch.lerp(*shape_coefficients(two).split(1), 0.3)
    assert torch.allclose(shape_coefficients(between), mixed, atol=1e-5)


def test_races_count_by_their_share_and_all_alike_where_none_is_given():
    shapes = torch.full((3, 11), 0.5)
    shapes[1, 8:], shapes[2, 8:] = 0.2, 0.0
    vertices = rest_from_shape(shapes).vertices
    assert torch.allclose(vertices[0], vertices[1], atol=1e-5)
    assert torch.allclose(vertices[0], vertices[2], atol=1e-5)


def test_a_phenotype_out_of_range_is_refused():
    assert Shape(age=-1 / 3).age < 0
    with pytest.raises(ValueError, match="Phenotype muscle is 1.2, expected 0 to 1"):
        Shape(muscle=1.2)


def test_a_pose_of_another_skeleton_is_refused(body):
    with pytest.raises(ValueError, match=r"shape \(1, 23, 3\), expected \(B, 103, 3\)"):
        body(Pose(torch.zeros(1, 23, 3), torch.zeros(1, 3), torch.zeros(1, 3)))


def test_a_checkpoint_holds_nothing_of_the_body(body):
    assert not body.state_dict()
