"""How an exercise is checked: the student's function beside the right one and the usual wrong ones."""

from __future__ import annotations

import copy
import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ddpm_micro.teach.plots import Picture


@dataclass(frozen=True)
class Verdict:
    """What a check says.

    Attributes
    ----------
    passed : bool
    message : str
        In a sentence or two.
    attempted : bool
        False if the function returns None, as it does before anything is written in it.
    mistake : str, optional
        Name of the usual mistake that was recognised.
    picture : Picture, optional
        What was expected beside what came.
    """

    passed: bool
    message: str
    attempted: bool = True
    mistake: str | None = None
    picture: Picture | None = None

    def __repr__(self) -> str:
        return self.message

    def _repr_html_(self) -> str:
        sign = "✓ Right." if self.passed else "✗ Not yet." if self.attempted else "○"  # the message says it
        picture = self.picture._repr_html_() if self.picture else ""
        return f"<p><strong>{sign}</strong> {html.escape(self.message)}</p>{picture}"


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes
    ----------
    answer : callable
        The right function.
    inputs : callable
        Returns the arguments to try it on, the same every time.
    mistakes : mapping of name to (callable, str)
        Usual wrong functions, and a sentence that tells what is wrong with each.
    hint : str
    picture : callable, optional
        ``picture(expected, came)``, each a list of arrays, draws both where the form is right and the values are not.
    also : (callable, str), optional
        Returns other arguments to try it on, and a sentence for a function that is right on the first alone.
    """

    answer: Callable[..., Any]
    inputs: Callable[[], tuple]
    mistakes: Mapping[str, tuple[Callable[..., Any], str]]
    hint: str
    picture: Callable[[list[np.ndarray], list[np.ndarray]], Picture] | None = None
    also: tuple[Callable[[], tuple], str] | None = None

    def check(self, student: Callable[..., Any]) -> Verdict:
        """Compare; whatever ``student`` does, this answers and does not raise."""
        given = self.inputs()
        try:
            came = student(*given)
        except Exception as error:  # the student's code may do anything
            return Verdict(False, f"Your function stopped with {type(error).__name__}: {error}")
        if came is None:
            return Verdict(False, "Not attempted yet: the function returns nothing.", attempted=False)
        expected = _parts(self.answer(*self.inputs()))
        try:
            parts = _parts(came)
        except (TypeError, ValueError, RuntimeError):
            return Verdict(False, f"Expected numbers, got {type(came).__name__}.")
        if len(parts) > 3 and len(expected) == 1 and expected[0].ndim == 1:
            kind = type(came).__name__
            return Verdict(False, f"Expected one array or tensor, got a {kind} of {len(parts)} things; convert it.")
        problem = _form(expected, parts)
        if problem:
            return Verdict(False, problem)
        if not _same(_parts(given), _parts(self.inputs())):
            return Verdict(False, "The function changes its inputs; work on copies, since the caller needs them again.")
        if _same(expected, parts):
            if self.also and not self._right_also(student):
                return Verdict(False, self.also[1])
            return Verdict(True, "Your answer agrees with the package's own.")
        picture = self.picture(expected, parts) if self.picture else None
        for name, (wrong, sentence) in self.mistakes.items():
            if _same(_parts(wrong(*self.inputs())), parts):
                return Verdict(False, sentence, mistake=name, picture=picture)
        worst = max(float(np.abs(a - b).max()) for a, b in zip(expected, parts, strict=True))
        return Verdict(
            False, f"The form is right, the values are not: they differ by up to {worst:.3g}.", picture=picture
        )

    def _right_also(self, student: Callable[..., Any]) -> bool:
        inputs, _ = self.also
        try:
            return _same(_parts(self.answer(*inputs())), _parts(student(*inputs())))
        except Exception:  # the student's code may do anything
            return False


def _parts(value: Any) -> list[np.ndarray]:
    """All numbers in a value as float64 arrays; of a tuple one each, and nothing for what holds none to compare."""
    if isinstance(value, (tuple, list)):
        return [part for item in value for part in _parts(item)]
    if isinstance(value, torch.Tensor):
        return [value.detach().cpu().double().numpy()]
    if callable(value) or isinstance(value, (str, np.random.Generator)) or hasattr(value, "alphas_cumprod"):
        return []
    return [np.asarray(copy.copy(value)).astype(np.float64)]


def _form(expected: list[np.ndarray], came: list[np.ndarray]) -> str:
    """What is wrong with the number of results, their shapes or their being numbers, or nothing."""
    shapes, got = ([part.shape for part in parts] for parts in (expected, came))
    if shapes != got:
        return f"Expected {_named(shapes)}, got {_named(got)}."
    if not all(np.isfinite(part).all() for part in came):
        return (
            "The result has values that are NaN or infinite; look for a division by 0 or the root of a negative number."
        )
    return ""


def _named(shapes: list[tuple[int, ...]]) -> str:
    return " and ".join(f"shape {shape}" if shape else "a number" for shape in shapes) or "no numbers"


def _same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(
        x.shape == y.shape and np.allclose(x, y, rtol=1e-4, atol=1e-5) for x, y in zip(a, b, strict=True)
    )
