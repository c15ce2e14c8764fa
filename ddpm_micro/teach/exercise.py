"""How an exercise is checked: the student's function beside the right one and the usual wrong ones."""

from __future__ import annotations

import ast
import dis
import html
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ddpm_micro.teach import errors, repairs, slips, values
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
    repairs : bool
        Whether one change of the student's function may be searched for. Not where the work grows as 2**n: a change of
        n could then take all memory.
    alike : callable, optional
        Whether a student's function that draws random numbers is right although it draws them in another order.
    """

    answer: Callable[..., Any]
    inputs: Callable[[], Sequence[tuple]]
    mistakes: Mapping[str, tuple[Callable[..., Any], str]]
    hint: str
    picture: Callable[[list[np.ndarray], list[np.ndarray]], Picture] | None = None
    shown: tuple[Callable[..., Any], ...] = ()
    repairs: bool = True
    alike: Callable[[Callable[..., Any]], bool] | None = None

    def right(self, *arguments: Any) -> Any:
        """The right answer to arguments in the order of the exercise."""
        return self.answer(**dict(zip(inspect.signature(self.answer).parameters, arguments, strict=True)))

    def solution(self) -> str:
        """The source of the right function, as a student would write it, and where the package has it."""
        return "\n\n\n".join(_source(function) for function in self.shown or (self.answer,))

    def check(self, student: Callable[..., Any]) -> Verdict:
        """Compare; whatever ``student`` does, this answers and does not raise."""
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of wrong answers: a division by 0 is told in the verdict
            verdict = self._check(student)
        return replace(verdict, message=_short(verdict.message))

    def _check(self, student: Callable[..., Any]) -> Verdict:
        names = list(inspect.signature(self.answer).parameters)
        trials = self.inputs()
        expected, came = [values.parts(self.right(*given)) for given in self.inputs()], []
        for given, fresh, asked in zip(trials, self.inputs(), expected, strict=True):
            try:
                value = student(*given)
            except Exception as error:  # the student's code may do anything
                return Verdict(False, errors.explain(error, student, names))
            changed = [name for name, one, other in zip(names, given, fresh) if not _unchanged(one, other)]
            if value is None:
                return self._nothing(student, changed, bool(came), given, names)
            if isinstance(value, str):
                return Verdict(False, "Your function returns text; return the number itself, not a line that shows it.")
            try:
                came.append(values.fitted(values.parts(value), asked))
            except (TypeError, ValueError, RuntimeError):
                return Verdict(False, f"Expected numbers, got {type(value).__name__}.")
            if changed:
                many = " and ".join(f"`{name}`" for name in changed)
                return Verdict(
                    False, f"Your function changes {many} in place, which the caller needs again; work on a copy."
                )
        if values.all_same(expected, came):
            return Verdict(True, "Your answer agrees with the package's own.")
        picture = self._picture(expected[0], came[0])
        for name, (wrong, sentence) in self.mistakes.items():
            results = [
                values.fitted(values.parts(wrong(*given)), asked) for given, asked in zip(self.inputs(), expected)
            ]
            if values.all_same(results, came):
                return Verdict(False, sentence, mistake=name, picture=picture)
        if self.alike and self.alike(student):
            return Verdict(
                True, "Right: you draw in another order than the package, so pixels differ; mean and variance agree."
            )
        return Verdict(False, self._slip(student, expected, came, names), picture=picture)

    def _slip(self, student: Callable[..., Any], expected: list, came: list, names: list[str]) -> str:
        """The most telling true sentence about a wrong answer that is none of the usual mistakes."""
        try:
            again = values.fitted(values.parts(student(*self.inputs()[0])), expected[0])
            if not values.same(again, came[0]):
                use = "Draw them from rng." if "rng" in names else "Use only what is passed in, and compute the rest."
                return f"Two calls with the same arguments differ: your function draws random numbers of its own. {use}"
        except Exception:  # the student's code may do anything
            return "A second call of your function with the same arguments fails; let it depend on them alone."
        off = [i for i, (e, c) in enumerate(zip(expected, came, strict=True)) if not values.same(e, c)]
        wanted, got = values.shapes(expected[off[0]]), values.shapes(came[off[0]])
        if wanted != got:
            found = slips.of_values(expected, came, self.inputs(), names)
            return found or self._place_of_slip(student, expected) or f"Expected {wanted}, got {got}."
        ignored = slips.ignored(student, self.right, self.inputs, names)
        if "rng" in ignored:
            return "Your result does not change with `rng`: the random numbers come from elsewhere. Draw them from rng."
        if any(not np.isfinite(part).all() for c in came for part in c):
            return "The result has NaN or infinite values; look for a division by 0 or the root of a negative number."
        found = slips.of_values(expected, came, self.inputs(), names)
        found = found or slips.of_arguments(self.right, came, self.inputs, names)
        if not found or "is 0 everywhere" in found:  # which is true, but does not tell why
            found = self._place_of_slip(student, expected) or found
        if found:
            return found
        if ignored:
            many = " and ".join(f"`{name}`" for name in ignored)
            return f"Your result does not change when {many} {'does' if len(ignored) == 1 else 'do'}; it should."
        if len(off) < len(expected):
            return f"Right for some arguments and wrong for others: wrong in {len(off)} of {len(expected)} trials."
        if found := slips.one_of_two(expected, came):
            return found
        worst = max(float(np.abs(a - b).max()) for a, b in zip(expected[off[0]], came[off[0]], strict=True))
        return f"The shape is right, the values are not: they differ by up to {worst:.3g}."

    def _place_of_slip(self, student: Callable[..., Any], expected: list) -> str | None:
        return repairs.place_of_slip(student, lambda one: self._passes(one, expected)) if self.repairs else None

    def _passes(self, function: Callable[..., Any], expected: list) -> bool:
        return all(
            values.same(asked, values.fitted(values.parts(function(*given)), asked))
            for given, asked in zip(self.inputs(), expected, strict=True)
        )

    def _nothing(
        self, student: Callable[..., Any], changed: list[str], later: bool, given: tuple, names: list[str]
    ) -> Verdict:
        """Why the function returned None."""
        if later:
            small = [f"{n}={v!r}" for n, v in zip(names, given) if isinstance(v, (bool, int, float, str))]
            return Verdict(
                False,
                f"For some arguments your function returns nothing, as for {', '.join(small) or 'the second trial'}.",
            )
        if changed:
            many = " and ".join(f"`{name}`" for name in changed)
            return Verdict(False, f"Your function changes {many} in place and returns nothing; return a new result.")
        if _computes(student):
            return Verdict(
                False, "Your function computes something but returns nothing: its last line must begin with return."
            )
        return Verdict(False, "Not attempted yet: the function returns nothing.", attempted=False)

    def _picture(self, expected: list[np.ndarray], came: list[np.ndarray]) -> Picture | None:
        fits = [e.shape for e in expected] == [c.shape for c in came]
        return self.picture(expected, came) if self.picture and fits else None


def _computes(student: Callable[..., Any]) -> bool:
    """Whether there is more in a function than the dots or pass of an exercise that was not begun."""
    code = getattr(student, "__code__", None)
    return code is not None and any(
        i.opname.startswith(("CALL", "BINARY", "STORE", "COMPARE")) for i in dis.get_instructions(code)
    )


def _unchanged(one: Any, other: Any) -> bool:
    before, after = values.parts(other), values.parts(one)
    return len(before) == len(after) and all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def _short(message: str) -> str:
    return message if len(message) <= 300 else message[:297] + "..."


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
