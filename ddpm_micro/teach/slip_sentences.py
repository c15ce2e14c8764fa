"""What `ddpm_micro.teach.slips` looks for, and the words for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# What came, as a function of what was expected.
OF_THE_ANSWER: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "has the wrong sign": lambda e: -e,
    "is upside down: 1 divided by what is asked for": lambda e: 1 / e,
    "is minus 1 divided by what is asked for": lambda e: -1 / e,
    "is the square of what is asked for: a root is missing": lambda e: e**2,
    "is the root of what is asked for": lambda e: np.sqrt(e),
    "is 1 minus what is asked for": lambda e: 1 - e,
    "is 1 plus what is asked for": lambda e: 1 + e,
    "has lost its signs: it is the absolute value of what is asked for": np.abs,
    "is the natural logarithm of what is asked for": np.log,
    "is the logarithm to the base 10 of what is asked for": np.log10,
    "is the logarithm to the base 2 of what is asked for": np.log2,
    "is in decibels, 10 log10 of what is asked for": lambda e: 10 * np.log10(e),
    "is in decibels, 20 log10 of what is asked for": lambda e: 20 * np.log10(e),
    "is the exponential of what is asked for": np.exp,
    "is not in decibels: it is the ratio itself": lambda e: 10 ** (e / 10),
    "is summed up along the first axis (cumsum)": lambda e: np.cumsum(e, axis=0),
    "is the difference of neighbours (diff)": lambda e: np.diff(e, axis=0),
    "is one step late: its values are shifted by one place": lambda e: np.roll(e, 1, axis=0),
    "is one step early: its values are shifted by one place": lambda e: np.roll(e, -1, axis=0),
    "is transposed": lambda e: e.swapaxes(-1, -2),
    "runs the other way along its first axis": lambda e: e[::-1],
    "is flipped left to right": lambda e: e[..., ::-1],
    "is flipped top to bottom": lambda e: e[..., ::-1, :],
    "is turned by half a turn": lambda e: e[..., ::-1, ::-1],
    "is sorted upwards": lambda e: np.sort(e, axis=0),
    "is a single number, the mean of what is asked for": lambda e: e.mean(),
    "is a single number, the sum of what is asked for": lambda e: e.sum(),
    "is flattened: the values are right, their shape is lost": np.ravel,
    "has lost an axis of length 1: the values are right, the shape is not (squeeze)": np.squeeze,
}
# What came must be such a number itself: one that merely lies beside it has not been rounded.
ROUNDED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "is rounded to whole numbers; return it as it is": np.round,
    "is cut to whole numbers (int or //); keep the fractions": np.trunc,
    "is rounded down to whole numbers; keep the fractions": np.floor,
    "is rounded up to whole numbers; keep the fractions": np.ceil,
    "is rounded to one decimal; return it as it is": lambda e: np.round(e, 1),
    "is rounded to two decimals; return it as it is": lambda e: np.round(e, 2),
}
FACTORS = {
    "2": 2, "3": 3, "4": 4, "8": 8, "1024": 1024, "2**20": 2**20, "10": 10, "20": 20, "60": 60, "100": 100,
    "255": 255, "1000": 1000, "3600": 3600, "pi": np.pi,
    "1,000,000": 1e6, "2 pi": 2 * np.pi, "the root of 2": 2**0.5, "the root of 2 pi": (2 * np.pi) ** 0.5,
    "log(10) = 2.303, the step from log10 to the natural logarithm": np.log(10), "log(2)": np.log(2),
    "1 / log10(2) = 3.322, the step from log10 to log2": 1 / np.log10(2), "24": 24,
}  # fmt: skip

# What stood in the place of an argument. Each takes the argument and says what it became.
ARGUMENTS: dict[str, Callable[[Any], Any]] = {
    "`{}` left out, or 0 in its place": lambda a: a * 0,
    "`{}` left out, or 1 in its place": lambda a: a * 0 + 1,
    "minus `{}` in the place of `{}`": lambda a: -a,
    "`{}` squared": lambda a: a**2,
    "the root of `{}` in the place of `{}`": lambda a: a**0.5,
    "1 divided by `{}` in the place of `{}`": lambda a: 1 / a,
    "1 minus `{}` in the place of `{}`": lambda a: 1 - a,
    "twice `{}`": lambda a: 2 * a,
    "half of `{}`": lambda a: a / 2,
    "`{}` + 1 in the place of `{}`": lambda a: a + 1,
    "`{}` - 1 in the place of `{}`": lambda a: a - 1,
    "`{}` cut to whole numbers": np.trunc,
    "the mean of `{}` everywhere": lambda a: a * 0 + a.mean(),
    "the first item of `{}` for all items": lambda a: a * 0 + a[:1],
    "the size of `{}` (abs)": abs,
    "`{}` the other way round": lambda a: a[::-1],
    "`{}` without its last item": lambda a: a[:-1],
    "`{}` without its first item": lambda a: a[1:],
    "not `{}`": lambda a: not a if isinstance(a, bool) else None,
}  # fmt: skip
