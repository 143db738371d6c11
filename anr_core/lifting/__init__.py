"""Lifting: 2D keypoints of one picture → the person's joints in space.

    examples = Examples(COCO23, seed=0)                           made-up people, seen from all around
    regressor = PoseRegressor(len(COCO23), width=1024)
    batch = examples(step, 256)                                   the same bytes for the same step
    loss = pose_distance(regressor(batch.seen), batch.joints, batch.known, COCO23)

    sight = look(keypoints, camera, up)                           keypoints (B, J, 3): pixels, confidence
    joints = sight.to_world(regressor(sight.seen))                (B, J, 3) metres, from the root, world axes
    joints = in_world(keypoints, joints, camera)                  (B, J, 4) metres and confidence, world

The regressor sees no pixels but the picture of a camera of our own at the same place, turned until the
person's middle is on its axis and zoomed until the person fills it: focal length, distance and place in the
picture make no difference to it. It is told how steeply that camera looks down, and answers in its axes,
levelled. The root that joints are counted
from is the skeleton's own, else the middle of the hips (`root`).
"""

from anr_core.lifting.examples import Batch, Examples
from anr_core.lifting.placing import in_world, place
from anr_core.lifting.regressor import PoseRegressor, pose_distance
from anr_core.lifting.sight import Sight, look, root

__all__ = ["Batch", "Examples", "PoseRegressor", "Sight", "in_world", "look", "place", "pose_distance",
           "root"]
