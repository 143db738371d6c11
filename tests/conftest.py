"""Captures that many tests read: a small made-up one, and the real ones where they are."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from anr_core.body import atlas
from anr_core.body.smpl import MODEL_FOLDER
from anr_core.prepare import prepare
from tests.small_capture import make_small_capture
from tests.smpl_model import write_smpl_model

REAL_CAPTURES = Path(os.environ.get("ANR_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def small_source(tmp_path_factory):
    """Read only: format `registered`, 3 cameras, frames 0 to 4, of which 0, 2 and 4 are registered."""
    folder = tmp_path_factory.mktemp("small") / "source"
    make_small_capture(folder, frames=5, camera_count=3, registered_every=2)
    return folder


@pytest.fixture(scope="session")
def small_capture(small_source):
    """Read only: the same, prepared."""
    return prepare(small_source, small_source.with_name("capture"))


@pytest.fixture(scope="session")
def real_capture(tmp_path_factory):
    """A function that prepares a real capture by name, or skips the test where it is missing."""
    prepared = {}

    def by_name(name):
        if not (REAL_CAPTURES / name).is_dir():
            pytest.skip(f"{name} is not in {REAL_CAPTURES}; set ANR_DATA to the folder that holds it")
        if name not in prepared:
            prepared[name] = prepare(REAL_CAPTURES / name, tmp_path_factory.mktemp("real") / name)
        return prepared[name]

    return by_name


@pytest.fixture(scope="session")
def _model_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for model_type in ("smpl", "smplh", "smplx"):
        write_smpl_model(folder, model_type)
    return folder


@pytest.fixture(scope="module")
def own_models(_model_files):
    """The user's folder of models, one of SMPL, SMPL-H and SMPL-X in it; an atlas of each would take 5 s."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODEL_FOLDER, str(_model_files))
        patch.setattr(atlas, "unwrap", lambda vertices, faces: (np.zeros((len(vertices), 2)), faces))
        yield _model_files


@pytest.fixture
def copied(source, tmp_path):
    """A copy, to change or damage, of the `source` that a module makes for its tests."""
    return shutil.copytree(source, tmp_path / source.name)
