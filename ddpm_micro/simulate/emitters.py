"""What all specimens are made of: point sources of light, and lines that wander as polymers do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MARGIN = 0.1  # of the extent, on every side: light from just outside the field of view reaches the image


@dataclass(frozen=True)
class Emitters:
    """Point sources of light; each attribute is an array of shape (n,) in float64.

    The field of view spans ``0..extent_nm`` in x (columns) and y (rows); z = 0 is the focal plane.
    """

    x: np.ndarray  # nm
    y: np.ndarray  # nm
    z: np.ndarray  # nm
    brightness: np.ndarray  # >= 0, relative light output


def join(*parts: Emitters) -> Emitters:
    """All sources of several clouds as one."""
    fields = ("x", "y", "z", "brightness")
    return Emitters(*(np.concatenate([getattr(part, field) for part in parts]) for field in fields))


def anywhere(rng: np.random.Generator, extent_nm: float, shape: tuple[int, ...]) -> np.ndarray:
    """Positions in nm, uniform over the field of view with its margins."""
    return rng.uniform(-MARGIN * extent_nm, (1 + MARGIN) * extent_nm, shape)


def area_um2(extent_nm: float) -> float:
    """Area of the field of view with its margins, in square micrometres."""
    return (extent_nm * (1 + 2 * MARGIN) / 1000) ** 2


def dust(rng: np.random.Generator, extent_nm: float, *, per_um2: float, brightness: float) -> Emitters:
    """Free dye: single spots anywhere, of exponentially distributed light with the mean ``brightness``."""
    n = rng.poisson(per_um2 * area_um2(extent_nm))
    x, y = anywhere(rng, extent_nm, (2, n))
    return Emitters(x, y, rng.normal(0, 300, n), rng.exponential(brightness, n))


def worm_like_headings(
    rng: np.random.Generator, shape: tuple[int, ...], step_nm: float, persistence_nm: float
) -> np.ndarray:
    """Headings along planar worm-like chains in radians, relative to the heading in the middle of each chain.

    The last axis of ``shape`` runs along a chain. Every step turns by a normal angle of variance
    ``step_nm / persistence_nm``, so tangents a length s apart have ``<cos> = exp(-s / (2 persistence_nm))``.
    """
    turns = rng.normal(0, np.sqrt(step_nm / persistence_nm), shape)
    return centred(np.cumsum(turns, axis=-1))


def centred(path: np.ndarray) -> np.ndarray:
    """The path, shifted so that it is 0 in the middle of its last axis."""
    middle = path.shape[-1] // 2
    return path - path[..., middle : middle + 1]
