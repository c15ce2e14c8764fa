"""One plain scikit-image pipeline for each set: from an image to objects, and to the numbers of a biologist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.spatial import cKDTree
from skimage.feature import peak_local_max
from skimage.filters import sato
from skimage.measure import label
from skimage.morphology import h_minima, remove_small_objects, skeletonize
from skimage.segmentation import watershed

NEAR = 2.0  # pixels: two puncta, or two points of a skeleton, are the same within this distance


def levels(image: np.ndarray, smoothing: float) -> np.ndarray:
    """The smoothed image between its own dark end, 0, and its own bright end, 1."""
    smooth = gaussian_filter(image.astype(np.float64), smoothing)
    dark, bright = np.percentile(smooth, (10, 99.5))
    return (smooth - dark) / max(bright - dark, 1e-9)


def puncta(image: np.ndarray, smoothing: float, threshold: float) -> np.ndarray:
    """Places of the local maxima above the threshold, (n, 2)."""
    return peak_local_max(levels(image, smoothing), min_distance=2, threshold_abs=threshold, exclude_border=2)


def same_points(truth: np.ndarray, found: np.ndarray) -> float:
    """F1: harmonic mean of the shares of the found and of the true points that have a partner."""
    if not len(truth) or not len(found):
        return float(len(truth) == len(found))
    near = cKDTree(truth).sparse_distance_matrix(cKDTree(found), NEAR, output_type="ndarray")
    hits = 0
    used_true, used_found = set(), set()
    for one in near[np.argsort(near["v"], kind="stable")]:  # the nearest pairs first
        if one["i"] not in used_true and one["j"] not in used_found:
            used_true.add(one["i"])
            used_found.add(one["j"])
            hits += 1
    return 2 * hits / (len(truth) + len(found))


def skeleton(image: np.ndarray, smoothing: float, threshold: float) -> np.ndarray:
    """Middle lines of the ridges, a mask (H, W)."""
    ridges = sato(image.astype(np.float64), sigmas=[smoothing], black_ridges=False)
    mask = ridges > threshold * np.percentile(ridges, 99)
    return remove_small_objects(skeletonize(mask), max_size=9, connectivity=2)


def same_lines(truth: np.ndarray, found: np.ndarray) -> float:
    """F1 of two skeletons, where a point counts if the other skeleton passes near it."""
    if not truth.any() or not found.any():
        return float(truth.any() == found.any())
    precision = (distance_transform_edt(~truth)[found] <= NEAR).mean()
    recall = (distance_transform_edt(~found)[truth] <= NEAR).mean()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def bodies(image: np.ndarray, smoothing: float, threshold: float) -> np.ndarray:
    """A mask (H, W) of all that is bright and not tiny."""
    return remove_small_objects(levels(image, smoothing) > threshold, max_size=29)


def dice(truth: np.ndarray, found: np.ndarray) -> float:
    return float(2 * (truth & found).sum() / max(truth.sum() + found.sum(), 1))


def cells(image: np.ndarray, smoothing: float, threshold: float) -> np.ndarray:
    """Labels (H, W) of basins between bright walls; a basin counts if it is deeper than the threshold."""
    height = levels(image, smoothing)
    return watershed(height, label(h_minima(height, threshold)))


def same_cells(truth: np.ndarray, found: np.ndarray) -> float:
    """F1 of the cells that share more than half of the area of both together."""
    together = np.zeros((truth.max() + 1, found.max() + 1))
    np.add.at(together, (truth.ravel(), found.ravel()), 1)
    union = together.sum(1, keepdims=True) + together.sum(0, keepdims=True) - together
    return float(2 * (together > union / 2).sum() / (truth.max() + found.max()))


@dataclass(frozen=True)
class Pipeline:
    """How objects are found, compared with the true ones, and counted.

    ``find`` takes an image, a smoothing in pixels and a threshold. ``on_truth`` are these two for the noise-free image.
    """

    find: Callable[[np.ndarray, float, float], np.ndarray]
    score: Callable[[np.ndarray, np.ndarray], float]
    numbers: dict[str, Callable[[np.ndarray], float]]
    on_truth: tuple[float, float]


SMOOTHINGS = (0.7, 1.5, 2.5)
THRESHOLDS = (0.03, 0.08, 0.15, 0.25, 0.4, 0.55)
PIPELINES = {
    "microtubules": Pipeline(skeleton, same_lines, {"length": lambda mask: float(mask.sum())}, (1.5, 0.18)),
    "mitochondria": Pipeline(
        bodies,
        dice,
        {"area": lambda mask: float(mask.sum()), "number": lambda mask: float(label(mask, connectivity=2).max())},
        (1.0, 0.25),
    ),
    "synapses": Pipeline(puncta, same_points, {"number": lambda points: float(len(points))}, (0.7, 0.12)),
    "zebrafish": Pipeline(cells, same_cells, {"number": lambda labels: float(labels.max())}, (1.5, 0.08)),
}
