"""The exercises: ``checks.q_sample(yours)`` says whether it is right and, if not, which usual mistake it makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ddpm_micro.choices import did_you_mean
from ddpm_micro.teach import prediction
from ddpm_micro.teach.exercise import Exercise, Verdict
from ddpm_micro.teach.exercises import EXERCISES

_seen: dict[str, Verdict] = {}


def hint(name: str) -> str:
    """A sentence that helps."""
    return _exercise(name).hint


def answer(name: str) -> Callable[..., Any]:
    """The right function, with which the chapters go on: the package's own wherever it has one."""
    return _exercise(name).right


def solution(name: str) -> str:
    """The source of the right function."""
    return _exercise(name).solution()


def predict(name: str) -> Any:
    """A question before a result, with its choices: see `ddpm_micro.teach.prediction`."""
    return prediction.ask(name)


def progress() -> str:
    """What was tried in this notebook so far, a line an exercise, and what was predicted, a line a question."""
    words = {True: "right", False: "not yet"}
    lines = [f"{name:17s} {words[v.passed] if v.attempted else 'not attempted'}" for name, v in _seen.items()]
    return "\n".join(filter(None, [*lines, prediction.progress()]))


def __getattr__(name: str) -> Callable[[Callable[..., Any]], Verdict]:
    """``checks.NAME`` is the check of that exercise."""
    if name not in EXERCISES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def check(student: Callable[..., Any]) -> Verdict:
        _seen[name] = EXERCISES[name].check(student)
        return _seen[name]

    return check


def _exercise(name: str) -> Exercise:
    if name not in EXERCISES:
        known = ", ".join(EXERCISES)
        raise ValueError(f"no exercise {name!r}; expected one of {known}{did_you_mean(name, EXERCISES)}")
    return EXERCISES[name]
