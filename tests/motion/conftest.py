import pytest

from anr_core.body.anny import AnnyBody
from anr_core.motion import read_motion
from tests.conftest import REAL_CAPTURES
from tests.motion.measures import played

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


@pytest.fixture(scope="session")
def real_played(real_motion, anny):
    """A function that plays a real motion, by its name, on Anny."""
    found = {}

    def by_name(name):
        if name not in found:
            motion = read_motion(real_motion(name))
            found[name] = played(motion[:400], anny)
        return found[name]

    return by_name
