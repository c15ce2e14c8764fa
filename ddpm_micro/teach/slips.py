"""Slips that are made in any exercise: what came is a simple function of what was expected, or of other arguments.

Each sentence states what is true of the values in every trial, so it cannot blame the wrong thing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from ddpm_micro.teach.slip_sentences import ARGUMENTS, FACTORS, OF_THE_ANSWER, ROUNDED
from ddpm_micro.teach.values import all_same, close, fitted, parts, same

Arrays = list[np.ndarray]
Function = Callable[..., Any]


def of_values(expected: list[Arrays], came: list[Arrays], trials: Sequence[tuple], names: Sequence[str]) -> str | None:
    """What came as a function of what was expected, in words; of two results only the wrong ones."""
    if len({len(e) for e in expected} | {len(c) for c in came}) > 1:
        return _of_their_number(expected, came)
    count = len(expected[0])
    if count == 2 and all_same([e[::-1] for e in expected], came):
        return "Both results are right, in the wrong order; swap them."
    wrong = [i for i in range(count) if not all(close(c[i], e[i]) for e, c in zip(expected, came, strict=True))]
    found = []
    for i in wrong:
        pairs = [(e[i], c[i]) for e, c in zip(expected, came, strict=True)]
        found.append(_of_one(pairs, trials, names))
    which = ("The first result", "The second result", "The third result")
    if not wrong or None in found or len(set(found)) > 1:
        return None
    if count == 1:
        return f"Your result {found[0]}."
    if len(wrong) == count:
        return f"In each of your results the same: it {found[0]}."
    return f"{which[1 - wrong[0]]} is right. {which[wrong[0]]} {found[0]}." if count == 2 else None


def one_of_two(expected: list[Arrays], came: list[Arrays]) -> str | None:
    """Which of two results is right in every trial, if the other is not."""
    right = [all(close(c[i], e[i]) for e, c in zip(expected, came, strict=True)) for i in range(len(expected[0]))]
    if len(right) != 2 or not any(right):
        return None
    first, second = ("first", "second") if right[0] else ("second", "first")
    return f"The {first} result is right; look at the {second} alone, at how it is made and from what."


def _of_their_number(expected: list[Arrays], came: list[Arrays]) -> str | None:
    asked, got = len(expected[0]), len(came[0])
    for i in range(got if asked == 1 else 0):
        if all(len(c) == got and close(c[i], e[0]) for e, c in zip(expected, came, strict=True)):
            return f"One result is asked for and you return {got}; number {i + 1} of them is right: return it alone."
    for i in range(asked if got == 1 else 0):
        if all(close(c[0], e[i]) for e, c in zip(expected, came, strict=True)):
            return f"{asked} results are asked for and you return one, which is number {i + 1} of them: return all."
    return None


def _of_one(pairs: list[tuple[np.ndarray, np.ndarray]], trials: Sequence[tuple], names: Sequence[str]) -> str | None:
    if all(c.shape == e.shape and not c.any() and e.any() for e, c in pairs):
        return "is 0 everywhere"
    with np.errstate(all="ignore"):
        for words, function in OF_THE_ANSWER.items():
            if _holds(pairs, function):
                return words
        for words, function in ROUNDED.items():
            if _holds(pairs, function) and all(np.abs(c - function(c)).max() < 1e-6 for _, c in pairs):
                return words
        if all(c.shape != e.shape for e, c in pairs):
            return _of_its_shape(pairs)
        if any(c.shape != e.shape for e, c in pairs):
            return None
        return _constant(pairs, trials, names) or _cut(pairs)


def _holds(pairs: list[tuple[np.ndarray, np.ndarray]], function: Callable[[np.ndarray], np.ndarray]) -> bool:
    try:
        return all(np.isfinite(c).all() and close(np.asarray(c), np.asarray(function(e))) for e, c in pairs)
    except (ValueError, IndexError, TypeError):
        return False


def _of_its_shape(pairs: list[tuple[np.ndarray, np.ndarray]]) -> str | None:
    for words, function in (("mean", np.mean), ("sum", np.sum)):
        for axis in range(max(c.ndim for _, c in pairs)):
            if all(c.ndim == e.ndim + 1 and close(function(c, axis=axis), e) for e, c in pairs if c.ndim > axis):
                return f"still lacks the {words} over axis {axis}: shape {pairs[0][1].shape} for {pairs[0][0].shape}"
        if all(e.ndim == 0 and close(np.asarray(function(c)), e) for e, c in pairs):
            return (
                f"is still an array of shape {pairs[0][1].shape}; its {words} over everything is the number asked for"
            )
    if all(c.size == e.size and close(c.ravel(), e.ravel()) for e, c in pairs):
        return f"has the right values in shape {pairs[0][1].shape}; bring them into shape {pairs[0][0].shape}"
    if all(c.size == e.size and close(c.T.ravel(), e.ravel()) for e, c in pairs):
        return f"is transposed: shape {pairs[0][1].shape} in place of {pairs[0][0].shape}"
    return None


def _constant(pairs: list[tuple[np.ndarray, np.ndarray]], trials: Sequence[tuple], names: Sequence[str]) -> str | None:
    """A factor, or something added, that is the same everywhere: a well-known number, or one of the arguments."""
    ratios, added = [_only(c, e, np.divide) for e, c in pairs], [_only(c, e, np.subtract) for e, c in pairs]
    numbers = list(_numbers(trials, names))
    if None not in ratios:
        for words, value in [*((w, [v] * len(pairs)) for w, v in FACTORS.items()), *numbers]:
            for sign, how in ((1, "is larger than it should be by the factor"), (-1, "is too small by the factor")):
                if all(_near(r, v**sign) for r, v in zip(ratios, value, strict=True)):
                    return f"{how} {words}"
    if None not in added:
        for words, value in [("1", [1.0] * len(pairs)), ("2", [2.0] * len(pairs)), *numbers]:
            for sign, how in ((1, "is too large: what is too much is"), (-1, "is too small: what is missing is")):
                if all(_near(a, sign * v) for a, v in zip(added, value, strict=True)):
                    return f"{how} {words}"
    if None not in ratios and all(_near(r, ratios[0]) for r in ratios):
        return f"is {ratios[0]:.4g} times what is asked for, everywhere: look for a factor"
    if None not in added and all(_near(a, added[0]) for a in added):
        return f"differs from what is asked for by {added[0]:.4g}, everywhere: look for something added"
    if None not in ratios and any(e.size > 1 for e, _ in pairs):
        return f"is off by one factor everywhere, here {ratios[0]:.4g}; with other arguments it is another one"
    return None


def _only(came: np.ndarray, expected: np.ndarray, operation: Callable[..., np.ndarray]) -> float | None:
    """The one value that ``operation`` gives in all places, or None."""
    if operation is np.divide:
        safe = np.abs(expected) > 1e-3 * np.sqrt(np.mean(expected**2))
        if not safe.any():
            return None
        value = float(np.median(came[safe] / expected[safe]))
        good = abs(value) > 0 and abs(value - 1) > 4e-3 and close(expected * value, came)  # near 1 it proves nothing
    else:
        value = float(np.median(came - expected))
        good = np.abs(came - expected - value).max() <= 3e-4 * abs(value)
    return value if good and np.isfinite(value) else None


def _near(a: float, b: float) -> bool:
    return bool(np.isfinite(b)) and b != 0 and abs(a - b) <= 1e-3 * abs(b)


def _numbers(trials: Sequence[tuple], names: Sequence[str]) -> Iterator[tuple[str, list[float]]]:
    """Numbers that a trial's arguments offer, each with its name: the arguments themselves, lengths and sizes."""
    for i, name in enumerate(names):
        values = [trial[i] for trial in trials]
        found: list[tuple[str, list[float]]] = []
        if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
            found.append((f"`{name}`", [float(v) for v in values]))
        elif all(isinstance(v, (np.ndarray, torch.Tensor)) and v.ndim for v in values):
            found.append((f"the number of values in `{name}`", [float(np.prod(v.shape)) for v in values]))
            if all(v.ndim > 1 for v in values):
                found.append((f"len({name})", [float(len(v)) for v in values]))
        elif all(isinstance(v, (list, tuple)) for v in values):
            found.append((f"len({name})", [float(len(v)) for v in values]))
        for words, value in found:
            yield words, value
            yield f"the root of {words}", [abs(v) ** 0.5 for v in value]
            yield f"{words} squared", [v**2 for v in value]
            yield f"n / (n - 1), where n is {words}", [v / (v - 1) if v != 1 else np.nan for v in value]
            yield (
                f"the root of n / (n - 1), where n is {words}",
                [abs(v / (v - 1)) ** 0.5 if v != 1 else np.nan for v in value],
            )
            yield f"1 - {words}", [1 - v for v in value]
            yield f"1 + {words}", [1 + v for v in value]


def _cut(pairs: list[tuple[np.ndarray, np.ndarray]]) -> str | None:
    """Whether what came stays between two limits, and is right between them; or is right once it is rounded."""
    if all(close(np.round(c), e) and np.array_equal(e, np.round(e)) for e, c in pairs):
        return "is right but for its fractions: whole numbers are asked for, so round it"
    if any(c.size <= 3 or c.min() == c.max() for _, c in pairs):
        return None
    if all(close(c, np.clip(e, c.min(), c.max())) for e, c in pairs):
        low, high = (any(side) for side in zip(*((e.min() < c.min(), e.max() > c.max()) for e, c in pairs)))
        ends = [f"at {end(pairs[0][1]):.4g}" for end, cut in ((np.min, low), (np.max, high)) if cut]
        return f"is cut off {' and '.join(ends)}; leave it as it is"
    return None


def of_arguments(
    answer: Function, came: list[Arrays], trials: Callable[[], Sequence[tuple]], names: Sequence[str]
) -> str | None:
    """What came as the right answer to other arguments: one altered, or two swapped."""
    altered = {}
    for i, name in enumerate(names):
        for words, change in ARGUMENTS.items():
            if _answers(answer, came, trials, {i: lambda t, i=i, change=change: change(t[i])}):
                altered[name] = words.format(name, name)
                break
    if len(altered) > 1:
        return None  # cos(a - b) is cos(-a + b): nobody can say which of the two was altered
    for words in altered.values():
        return f"This is what comes out with {words}."
    for i, name in enumerate(names):
        for other in ("eps", "x0", "v"):
            if isinstance(trials()[0][i], str) and _answers(answer, came, trials, {i: lambda t, other=other: other}):
                return f"This is what comes out with `{name}` = {other!r}, whatever was asked for."
    for i in range(len(names)):
        for j in range(i):
            if _answers(answer, came, trials, {i: lambda t, j=j: t[j], j: lambda t, i=i: t[i]}):
                return f"This is what comes out with `{names[j]}` and `{names[i]}` swapped."
            for to, source in ((i, j), (j, i)):
                if _answers(answer, came, trials, {to: lambda t, source=source: t[source]}):
                    return f"This is what comes out with `{names[source]}` in the place of `{names[to]}` as well."
    return None


def _answers(
    answer: Function, came: list[Arrays], trials: Callable[[], Sequence[tuple]], changes: dict[int, Function]
) -> bool:
    for trial, result in zip(trials(), came, strict=True):
        try:
            with np.errstate(all="ignore"):
                altered = list(trial)
                for i, change in changes.items():
                    altered[i] = change(trial)
                if any(a is None for a in altered) or not same(fitted(parts(answer(*altered)), result), result):
                    return False
        except Exception:  # an altered argument may fit nothing
            return False
    return True


def ignored(
    student: Function, answer: Function, trials: Callable[[], Sequence[tuple]], names: Sequence[str]
) -> list[str]:
    """Arguments that the answer depends on and the student's result does not."""
    found = []
    for i, name in enumerate(names):
        try:
            plain, other = list(trials()[0]), list(trials()[0])
            if isinstance(plain[i], str) and len({trial[i] for trial in trials()}) == 1:
                continue  # a word that is the same in all trials, such as the prediction, may be taken for granted
            other[i] = _other(other[i])
            if other[i] is None:
                continue
            matters = not same(
                parts(answer(*trials()[0])),
                parts(answer(*[*trials()[0][:i], _other(trials()[0][i]), *trials()[0][i + 1 :]])),
            )
            if matters and _identical(parts(student(*plain)), parts(student(*other))):
                found.append(name)
        except Exception:  # the student's code may do anything
            continue
    return found


def _identical(a: Arrays, b: Arrays) -> bool:
    """A result that changes a little does change: a sum in which a small number stands beside a large one."""
    return len(a) == len(b) and all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))


def _other(value: Any) -> Any:
    """A value of the same kind that differs."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 2
    if isinstance(value, float):
        return 1.3 * value + 0.1
    if isinstance(value, np.random.Generator):
        return np.random.default_rng(987)
    if isinstance(value, torch.Tensor):
        return 0.9 * value + 0.03 if value.is_floating_point() else value + 1
    if isinstance(value, np.ndarray):
        differences = value.ndim == 1 and value.dtype.kind == "f"  # their signs may be all that counts
        sign = -1 if differences else 1
        return sign * 0.9 * value + 0.07 * np.arange(value.size).reshape(value.shape) / value.size
    if isinstance(value, list):
        return [v + 1 for v in value] if all(isinstance(v, int) for v in value) else [1.1 * v for v in value]
    if isinstance(value, str):
        return {"v": "eps", "eps": "x0"}.get(value)
    if hasattr(value, "alphas_cumprod"):
        return type(value)(value.alphas_cumprod**1.5, value.config)
    if callable(value) and len(inspect.signature(value).parameters) in (1, 3):
        return lambda *a: 1.1 * value(*a)
    return None
