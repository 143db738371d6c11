"""Made-up people: their labels belong to their keypoints, and a step's number alone says who they are."""

import pytest
import torch

from anr_core.body.anny import PARTS, AnnyBody
from anr_core.parts import MadeUp, charted, keypoint_mix
from anr_core.skeleton import BODY25, BODY25B, COCO23
from anr_core.skeleton.detailed import BODY25_DETAILED


@pytest.fixture(scope="module")
def people():
    return MadeUp(keypoint_mix(BODY25), charted(AnnyBody().surface), seed=3)


def test_a_step_makes_the_same_people_whenever_it_is_asked(people):
    first, again, other = people(5, 3, (64, 64)), people(5, 3, (64, 64)), people(6, 3, (64, 64))
    assert all(torch.equal(getattr(first, name), getattr(again, name)) for name in ("points", "part", "uv"))
    assert not torch.equal(first.points, other.points)


def test_labels_lie_where_the_keypoints_are(people):
    example = people(1, 40, (128, 128))
    hits = {"left": 0, "right": 0}
    for joint in ("knee", "elbow", "ankle"):
        for side in hits:
            column, row, known = example.points[:, BODY25.names.index(f"{side}_{joint}")].unbind(1)
            inside = (known > 0) & (column > 0) & (row > 0) & (column < 127) & (row < 127)
            parts = example.part[inside.nonzero()[:, 0], row[inside].long(), column[inside].long()]
            names = [PARTS[part - 1] for part in parts.tolist() if part]
            wanted = {"knee": ("thigh", "calf"), "elbow": ("arm",), "ankle": ("calf", "foot")}[joint]
            right = [name for name in names if name.startswith(side) and any(word in name for word in wanted)]
            assert len(right) > 0.55 * len(names), (side, joint)


def test_people_fill_windows_as_training_cuts_them(people):
    example = people(2, 40, (96, 96))
    covered = (example.part > 0).float().mean((1, 2))
    assert 0.02 < covered.min() and covered.max() < 0.7
    assert bool(((example.uv >= 0) & (example.uv <= 1)).all())
    assert example.part.unique().tolist() == list(range(25))


def test_keypoints_of_any_set_are_found_by_name():
    for skeleton in (COCO23, BODY25, BODY25B, BODY25_DETAILED):
        mix = keypoint_mix(skeleton)
        assert mix.shape == (len(skeleton), 13718)
        assert mix[skeleton.names.index("left_wrist")].sum() == pytest.approx(1, abs=1e-4)
    assert not keypoint_mix(BODY25_DETAILED)[BODY25_DETAILED.names.index("left_index4")].any()
