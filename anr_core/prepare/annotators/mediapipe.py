"""Annotator `mediapipe`: MediaPipe's pose landmarks and their masks, where the user has installed it.

Its 33 landmarks hold COCO's 17, heels, and the tips of the feet, taken for the big toes; it has no small
toes. Landmarks are shares of the picture's width and height.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from anr_core.capture.fetching import fetch, store
from anr_core.prepare.annotators import Annotator, Person, unavailable
from anr_core.skeleton import COCO23

# By its number in MediaPipe's order, whose sides are the person's too.
LANDMARKS = {0: "nose", 2: "left_eye", 5: "right_eye", 7: "left_ear", 8: "right_ear", 11: "left_shoulder",
             12: "right_shoulder", 13: "left_elbow", 14: "right_elbow", 15: "left_wrist", 16: "right_wrist",
             23: "left_hip", 24: "right_hip", 25: "left_knee", 26: "right_knee", 27: "left_ankle",
             28: "right_ankle", 29: "left_heel", 30: "right_heel", 31: "left_big_toe", 32: "right_big_toe"}

MODEL = ("https://storage.googleapis.com/mediapipe-models/pose_landmarker/pose_landmarker_heavy/float16/1/"
         "pose_landmarker_heavy.task")
MOST_PEOPLE = 5


def annotator() -> Annotator:
    """The annotator, its model downloaded once; raises ImportError or ValueError with other ways on."""
    try:
        import mediapipe

        vision = mediapipe.tasks.vision
    except (ImportError, OSError, AttributeError) as error:  # not there; a system library isn't; too old
        raise ImportError(unavailable("mediapipe", error, "Install it (python -m pip install mediapipe).")
                          ) from None
    model = _model()
    try:
        # pictures one by one: its tracking over time is made for one person
        landmarker = vision.PoseLandmarker.create_from_options(vision.PoseLandmarkerOptions(
            base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(model)), num_poses=MOST_PEOPLE,
            output_segmentation_masks=True))
    except (RuntimeError, ValueError, OSError) as error:
        raise ValueError(unavailable("mediapipe", error, f"Remove {model}, to download it again.")) from None

    def find(pictures: Iterable[np.ndarray]) -> Iterator[list[Person]]:
        for picture in pictures:
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB,
                                    data=np.ascontiguousarray(picture))
            yield people_of(landmarker.detect(image), picture.shape[:2])

    return Annotator("mediapipe", "coco23", find)


def people_of(result, size: tuple[int, int]) -> list[Person]:
    """Everyone in a picture of a size (H, W), from a PoseLandmarkerResult.

    pose_landmarks       a list a person of 33 that have x, y and visibility
    segmentation_masks   an image a person, whose numpy_view() is (H, W) or (H, W, 1) in [0, 1]; or None
    """
    masks = result.segmentation_masks or [None] * len(result.pose_landmarks)
    return [Person(_keypoints(landmarks, size), None if mask is None else _mask(mask, size))
            for landmarks, mask in zip(result.pose_landmarks, masks, strict=True)]


def _keypoints(landmarks, size):
    points = np.zeros((len(COCO23), 3), np.float32)
    for number, name in LANDMARKS.items():
        landmark = landmarks[number]
        inside = 0 <= landmark.x <= 1 and 0 <= landmark.y <= 1  # what lies outside is a guess
        points[COCO23.names.index(name)] = (landmark.x * size[1], landmark.y * size[0],
                                            landmark.visibility if inside else 0)
    return points


def _mask(image, size):
    return np.where(np.reshape(image.numpy_view(), size) > 0.5, np.uint8(255), np.uint8(0))


def _model():
    """The landmarker's file, downloaded once."""
    by_hand = store() / MODEL.rpartition("/")[2]
    try:
        return by_hand if by_hand.is_file() else fetch(MODEL, store())
    except ValueError as error:
        raise ValueError(unavailable("mediapipe", f"its model: {error}", f"Download {MODEL} by hand into "
                                     f"{store()}.")) from None
