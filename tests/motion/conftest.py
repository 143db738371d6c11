import pytest

from anr_core.body.anny import AnnyBody
from tests.conftest import REAL_CAPTURES

MOTIONS = REAL_CAPTURES / "motions"


@pytest.fixture(scope="session")
def anny():
    return AnnyBody()


@pytest.fixture(scope="session")
def real_motion():
    """A function that names the file of a real motion, or skips the test where it is missing."""

    def by_name(name):
        if not (MOTIONS / name).is_file():
            pytest.skip(f"{name} is not in {MOTIONS}; set ANR_DATA to the folder that holds motions/")
        return MOTIONS / name

    return by_name
