"""Lifting: 2D keypoints of one picture → the person's joints in space.

    examples = Examples(COCO23, seed=0)                           made-up people, seen from all around
    regressor = PoseRegressor(len(COCO23), width=1024)
    batch = examples(step, 256)                                   the same bytes for the same step
    loss = pose_distance(regressor(batch.seen), batch.joints, batch.known, COCO23)

    sight = look(keypoints, camera, up)                           keypoints (B, J, 3): pixels, confidence
    joints = person * sight.to_world(regressor(sight.seen))       (B, J, 3) metres, from the root, world axes
    joints = in_world(keypoints, joints, camera)                  (B, J, 4) metres and confidence, world

The regressor sees no pixels but the picture of a camera of our own at the same place, turned until the
person's middle is on its axis and zoomed until the person fills it: focal length, distance and place in the
picture make no difference to it. It is told how steeply that camera looks down, and answers in its axes,
levelled, for a person of size 1: how large who is seen is (`size`), one picture doesn't tell, but several
cameras do (`size_seen`). Answers in metres, as published, were off by the spread of people's heights, half
of all that they were off by. The root that joints are counted from is the skeleton's own, else the middle of
the hips (`root`).
"""

from anr_core.lifting.examples import Batch, Examples
from anr_core.lifting.lifter import Lifter, mean_pose
from anr_core.lifting.placing import in_world, place, size_seen
from anr_core.lifting.regressor import PoseRegressor, pose_distance
from anr_core.lifting.sight import Sight, look, root
from anr_core.lifting.size import size

__all__ = ["Batch", "Examples", "Lifter", "PoseRegressor", "Sight", "in_world", "look", "mean_pose", "place",
           "pose_distance", "root", "size", "size_seen"]
