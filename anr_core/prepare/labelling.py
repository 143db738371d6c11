"""Which pixels of a picture are the person: colours, places and edges weighed against each other.

Each pixel has a log odds from its colour (the person's colours against the plate's) and from how far it lies
outside of the naked person. Neighbours are drawn together but where there is an edge that the plate has not.
The labels that cost least solve one sparse linear system, the random walker with priors (Grady, Multilabel
Random Walker Image Segmentation Using Prior Models, CVPR 2005); edges of the plate are taken out as by Sun et
al. (Background Cut, ECCV 2006).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import cg

from anr_core.prepare.guide import REACH, Guide
from anr_core.prepare.plate import GAMUT, ODD, Plate

# Log odds of the person by the distance outside of the naked one in heights, as counted in masks of clothed
# people, filmed and drawn, with long hair and wide clothes among them.
DISTANCES = (-0.055, -0.025, -0.005, 0.005, 0.020, 0.060, 0.110, REACH)
LOG_ODDS = (4.5, 2.6, 1.0, -0.4, -2.0, -2.5, -3.8, -8.0)
COLOUR_WEIGHT, MOST_COLOUR = 0.7, 6.0   # neighbours have the same colour, so it counts less than it seems
BINS, LOW, HIGH = 32, np.float32([16, -60, -60]), np.float32([117, 80, 80])
SMOOTHNESS = 6.0     # how strongly a pixel is drawn to its neighbour across no edge, in log odds
ANY_EDGE = 0.03      # the share of it that is left across the strongest edge
PLATE_EDGE, PLATE_LIKE = 6.0, 8.0  # colour steps and differences from the plate that count as the plate's
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows and columns to four of a pixel's eight neighbours
LARGEST_SPECK = 0.0006  # of the height squared: holes and islands up to it are noise
DOUBT = 0.1, 0.9     # between them a pixel may be either
MISLED = 2.0         # log odds of a colour that say the opposite of the label
NEAR_OUTLINE = 0.03  # of the height: contradicted deeper inside, a label is still safe


class Palette:
    """A person's colours: a smoothed histogram of many pixels."""

    def __init__(self):
        self.counts = np.zeros((BINS,) * 3)
        self._density = None

    def add(self, colours: np.ndarray) -> None:
        """Count colours (N, 3)."""
        np.add.at(self.counts, self._bins(colours), 1)
        self._density = None

    def density(self, colours: np.ndarray) -> np.ndarray:
        """How likely colours (N, 3) are, per unit of colour."""
        if self._density is None:
            smooth = ndimage.gaussian_filter(self.counts, 1.0)
            self._density = np.float32(smooth / max(smooth.sum(), 1e-9) / np.prod((HIGH - LOW) / BINS))
        return (1 - ODD) * self._density[self._bins(colours)] + ODD / GAMUT

    @staticmethod
    def _bins(colours):
        return tuple(((colours - LOW) / (HIGH - LOW) * BINS).astype(int).clip(0, BINS - 1).T)


def label(colours: np.ndarray, plate: Plate, guide: Guide, palette: Palette) -> tuple[np.ndarray, np.ndarray]:
    """The person in a guide's box, and what is certain of it: both (h, w) bool.

    colours  (h, w, 3) of the box, in the plate's light
    """
    reach = guide.outside < REACH
    window = guide.window
    rows, columns = np.nonzero(reach)
    pixels = colours[reach]
    behind = plate.density(pixels, (rows + window[0].start, columns + window[1].start))
    told = np.zeros(reach.shape, np.float32)
    told[reach] = np.log(palette.density(pixels)) - np.log(behind)
    odds = (COLOUR_WEIGHT * told).clip(-MOST_COLOUR, MOST_COLOUR)
    odds += np.interp(guide.outside, DISTANCES, LOG_ODDS).astype(np.float32)
    share = walk(odds, edge_weights(colours, plate.middle[window]), reach)
    person = tidy(share > 0.5, guide)
    return person, certainty(person, share, told, guide)


def edge_weights(colours: np.ndarray, plate: np.ndarray) -> list[np.ndarray]:
    """How strongly neighbours (h, w, 3) belong together, for each of STEPS; less across an edge.

    An edge that the plate has as well, where the picture looks like the plate, is none.
    """
    off = ((colours - plate) ** 2).sum(-1)
    edges = []
    for step in STEPS:
        here, there = _pairs(step)
        like = np.exp(-np.minimum(off[here], off[there]) / PLATE_LIKE**2)
        of_plate = ((plate[here] - plate[there]) ** 2).sum(-1) / PLATE_EDGE**2
        edges.append(((colours[here] - colours[there]) ** 2).sum(-1) / (1 + of_plate * like))
    usual = max(float(np.mean([edge.mean() for edge in edges])), 25.0)  # a flat picture has noise alone
    return [SMOOTHNESS * (np.exp(-edge / (2 * usual)) + ANY_EDGE) / np.hypot(*step)
            for edge, step in zip(edges, STEPS, strict=True)]


def _pairs(step):
    """Slices of an image's pixels, and of those a step further."""
    down, right = step
    rows = slice(0, -down or None), slice(down, None)
    columns = (slice(0, -right or None), slice(right, None)) if right >= 0 else \
        (slice(-right, None), slice(0, right))
    return (rows[0], columns[0]), (rows[1], columns[1])


def walk(odds: np.ndarray, weights: list[np.ndarray], reach: np.ndarray) -> np.ndarray:
    """How much of each pixel is the person, (h, w) in [0, 1]; nothing is outside of reach.

    Minimises the sum of |odds| (x - [odds > 0])^2 over pixels and of weight (x - y)^2 over neighbours.
    """
    place = np.full(reach.shape, -1)
    count = int(reach.sum())
    place[reach] = np.arange(count)
    pull = np.abs(odds[reach]).astype(float)
    target = odds[reach] > 0
    total, rows, columns, values = pull.copy(), [], [], []
    for weight, step in zip(weights, STEPS, strict=True):
        here, there = (place[part] for part in _pairs(step))
        for one, other in ((here, there), (there, here)):
            inside = one >= 0
            total += np.bincount(one[inside], weight[inside], count)
            both = inside & (other >= 0)
            rows.append(one[both]), columns.append(other[both]), values.append(-weight[both])
    system = coo_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
                       (count, count)).tocsr() + diags_array(total)
    share, _ = cg(system, pull * target, target.astype(float), rtol=1e-3, maxiter=200,
                  M=diags_array(1 / total))
    found = np.zeros(reach.shape, np.float32)
    found[reach] = share
    return found


def tidy(person: np.ndarray, guide: Guide) -> np.ndarray:
    """A label without small holes, and without islands that the bones don't run through."""
    speck = LARGEST_SPECK * guide.height**2
    holes, count = ndimage.label(~person)
    small = np.bincount(holes.ravel(), minlength=count + 1) <= speck
    person = person | small[holes] & (holes > 0)
    islands, count = ndimage.label(person)
    within = np.bincount(islands[guide.core], minlength=count + 1)
    within[0] = 0
    return (within > 0.02 * within.sum())[islands]


def certainty(person: np.ndarray, share: np.ndarray, told: np.ndarray, guide: Guide) -> np.ndarray:
    """Where a label can be believed: not undecided, cut off or, near the outline, against its colour."""
    undecided = (share > DOUBT[0]) & (share < DOUBT[1])
    islands = (share > 0.5) & ~person  # a limb whose keypoints nobody saw, or what only looks like one
    against = np.where(person, -told, told) > MISLED
    distance = ndimage.distance_transform_edt(person) + ndimage.distance_transform_edt(~person)
    return ~(undecided | islands | against & (distance < NEAR_OUTLINE * guide.height))
