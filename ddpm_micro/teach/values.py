"""What a student's function returned, as arrays that can be compared with the right answer."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

TOLERANCE = 3e-4  # of an array's root mean square: constants may be rounded to four digits


def parts(value: Any) -> list[np.ndarray]:
    """The arrays in an answer, as float64.

    A tuple gives one array an item; a list too, unless it holds numbers or rows of numbers. Objects without numbers
    (a schedule, a generator, text) give none.
    """
    if isinstance(value, torch.Tensor):
        return [value.detach().cpu().double().numpy()]
    if isinstance(value, (tuple, list)):
        found = [part for item in value for part in parts(item)]
        alike = len({part.shape for part in found}) == 1 and len(found) == len(value)
        numbers = alike and (found[0].ndim == 0 or isinstance(value[0], (list, tuple)))
        return [np.stack(found)] if numbers and isinstance(value, list) else found
    if value is None or callable(value) or isinstance(value, (str, np.random.Generator)) or hasattr(value, "snr"):
        return []
    return [np.asarray(copy.copy(value)).astype(np.float64)]


def fitted(came: list[np.ndarray], expected: list[np.ndarray]) -> list[np.ndarray]:
    """``came`` in the form of ``expected`` where only the wrapping differs: a list of arrays, or one number in [ ]."""
    if len(came) == 1 and len(expected) > 1 and len(came[0]) == len(expected):
        came = list(came[0])
    elif len(came) > 1 and len(expected) == 1 and len({part.shape for part in came}) == 1:
        stacked = np.stack(came)
        came = [stacked] if stacked.shape == expected[0].shape else came
    if len(came) == len(expected):
        came = [c.reshape(()) if c.size == 1 and e.ndim == 0 else c for c, e in zip(came, expected, strict=True)]
    return came


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    """Whether two answers agree, but for rounding."""
    return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b, strict=True))


def close(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return False
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    size = np.sqrt(np.mean(b**2)) if b.size else 0.0
    return bool((np.abs(a - b) <= TOLERANCE * (np.abs(b) + size) + 1e-12).all())


def all_same(a: list[list[np.ndarray]], b: list[list[np.ndarray]]) -> bool:
    """Whether two answers agree in all trials."""
    return all(same(x, y) for x, y in zip(a, b, strict=True))


def shapes(of: list[np.ndarray]) -> str:
    """Shapes in words."""
    if len(of) > 3:
        return f"{len(of)} results"
    return " and ".join(f"shape {part.shape}" if part.shape else "a number" for part in of) or "no numbers"
