"""How an exercise is checked: the student's function beside the right one and the usual wrong ones."""

from __future__ import annotations

import ast
import copy
import html
import inspect
from collections.abc import Callable, Mapping, Sequence
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
        The right function, the package's own wherever it has one.
    inputs : callable
        Returns the arguments of each trial, the same every time. No two mistakes agree in all trials.
    mistakes : mapping of name to (callable, str)
        Usual wrong functions, and a sentence that tells what is wrong with each.
    hint : str
    picture : callable, optional
        ``picture(expected, came)``, each a list of arrays, draws both where the shape is right and the values are not.
    shown : tuple of callables
        What `solution` prints, if that is not ``answer`` alone.
    """

    answer: Callable[..., Any]
    inputs: Callable[[], Sequence[tuple]]
    mistakes: Mapping[str, tuple[Callable[..., Any], str]]
    hint: str
    picture: Callable[[list[np.ndarray], list[np.ndarray]], Picture] | None = None
    shown: tuple[Callable[..., Any], ...] = ()

    def right(self, *arguments: Any) -> Any:
        """The right answer to arguments in the order of the exercise."""
        return self.answer(**dict(zip(inspect.signature(self.answer).parameters, arguments, strict=True)))

    def solution(self) -> str:
        """The source of the right function, as a student would write it, and where the package has it."""
        return "\n\n\n".join(_source(function) for function in self.shown or (self.answer,))

    def check(self, student: Callable[..., Any]) -> Verdict:
        """Compare; whatever ``student`` does, this answers and does not raise."""
        results, expected = [], [_parts(self.right(*given)) for given in self.inputs()]
        for number, given in enumerate(self.inputs()):
            try:
                came = student(*given)
            except Exception as error:  # the student's code may do anything
                return Verdict(False, f"Your function stopped with {type(error).__name__}: {error}")
            if came is None:
                return Verdict(False, "Not attempted yet: the function returns nothing.", attempted=False)
            try:
                parts = _parts(came)
            except (TypeError, ValueError, RuntimeError):
                return Verdict(False, f"Expected numbers, got {type(came).__name__}.")
            if len(parts) > 3 and len(expected[number]) == 1 and expected[number][0].ndim == 1:
                kind = type(came).__name__
                return Verdict(False, f"Expected one array or tensor, got a {kind} of {len(parts)} things; convert it.")
            problem = _form(expected[number], parts)
            if problem:
                return Verdict(False, problem)
            if not _same(_parts(given), _parts(self.inputs()[number])):
                return Verdict(
                    False, "The function changes its inputs; work on copies, since the caller needs them again."
                )
            results.append(parts)
        if _all_same(expected, results):
            return Verdict(True, "Your answer agrees with the package's own.")
        picture = self.picture(expected[0], results[0]) if self.picture else None
        for name, (wrong, sentence) in self.mistakes.items():
            if _all_same([_parts(wrong(*given)) for given in self.inputs()], results):
                return Verdict(False, sentence, mistake=name, picture=picture)
        off = [float(np.abs(a - b).max()) for e, came in zip(expected, results) for a, b in zip(e, came, strict=True)]
        return Verdict(
            False, f"The shape is right, the values are not: they differ by up to {max(off):.3g}.", picture=picture
        )


def _source(function: Callable[..., Any]) -> str:
    """The lines of a function that a student would write: no type hints, docstring or checks of arguments."""
    function = inspect.unwrap(function)
    bare = ", ".join(inspect.signature(function).parameters)
    lines = inspect.getsource(function).splitlines()
    tree = ast.parse("\n".join(lines)).body[0]
    body = tree.body[1:] if ast.get_docstring(tree) else tree.body
    while isinstance(body[0], ast.If) and isinstance(body[0].body[0], ast.Raise):
        body = body[1:]
    module = function.__module__
    where = f"# from {module}\n" if not module.startswith("ddpm_micro.teach") else ""
    return f"{where}def {function.__name__}({bare}):\n" + "\n".join(lines[body[0].lineno - 1 :])


def _all_same(a: list[list[np.ndarray]], b: list[list[np.ndarray]]) -> bool:
    return all(_same(x, y) for x, y in zip(a, b, strict=True))


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
