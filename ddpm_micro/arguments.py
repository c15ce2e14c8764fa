"""Checks of what a measure is given; each names the argument, what was expected, what came and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike


def real_array(values: ArrayLike, name: str) -> np.ndarray:
    """``values`` as an array of integers or floats, which is not copied."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):  # ragged lists
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected an array of real numbers, got {array.dtype}; convert it to float first")
    return array


def checked_image(image: ArrayLike, name: str, min_side: int = 1) -> np.ndarray:
    """A finite image of shape (H, W) as float64."""
    array = real_array(image, name).astype(np.float64)
    if array.ndim != 2:
        raise ValueError(f"{name}: expected one image (H, W), got shape {array.shape}; pass one plane at a time")
    if min(array.shape) < min_side:
        raise ValueError(f"{name}: expected sides >= {min_side} px, got shape {array.shape}; use a larger patch")
    if bad := np.count_nonzero(~np.isfinite(array)):
        raise ValueError(f"{name}: expected finite values, got {bad} NaN or infinite pixels; replace or crop them")
    return array


def checked_pair(
    first: ArrayLike, second: ArrayLike, names: tuple[str, str] = ("truth", "image"), min_side: int = 1
) -> list[np.ndarray]:
    """Two finite images of one shape as float64."""
    pair = [checked_image(image, name, min_side) for image, name in zip((first, second), names, strict=True)]
    if pair[0].shape != pair[1].shape:
        raise ValueError(
            f"{names[1]}: expected the shape of {names[0]}, {pair[0].shape}, got {pair[1].shape}; crop or resample one"
        )
    return pair


def checked_positive(value: object, name: str) -> float:
    """A finite number above 0 as a float."""
    if not (isinstance(value, Real) and 0 < value < np.inf):
        raise ValueError(f"{name}: expected a finite number above 0, got {value!r}; give it in the documented unit")
    return float(value)


def of_a_pair(min_side: int = 1) -> Callable[[Callable[..., float]], Callable[..., float]]:
    """Decorator of a measure: checks truth, image and data_range, and hands its formula float64 arrays."""

    def decorate(formula: Callable[..., float]) -> Callable[..., float]:
        @wraps(formula)
        def measure(truth: ArrayLike, image: ArrayLike, **options: object) -> float:
            truth, image = checked_pair(truth, image, min_side=min_side)
            if "data_range" in options:
                options["data_range"] = checked_positive(options["data_range"], "data_range")
            with np.errstate(divide="ignore"):  # equal images have a PSNR of infinity
                return float(formula(truth, image, **options))

        return measure

    return decorate
