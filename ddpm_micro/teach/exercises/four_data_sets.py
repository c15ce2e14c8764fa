"""Exercise of chapter 8: is a method better, or was it lucky with these images?"""

from __future__ import annotations

import itertools

import numpy as np
import scipy  # which loads scipy.stats, a second of work, when it is first used

from ddpm_micro.teach.exercise import Exercise


def sign_flip_p(gains: np.ndarray) -> float:
    """The exact two-sided p of the mean of paired differences, if each sign were a matter of chance (Fisher 1935)."""
    signs = np.array(list(itertools.product([1, -1], repeat=len(gains))))
    means = (signs * gains).mean(axis=1)
    return np.mean(np.abs(means) >= np.abs(np.mean(gains)))


def _inputs() -> list[tuple]:
    """Differences in eighths of a decibel, whose sums are exact; the second trial has a small mean below zero."""
    return [(np.array([6, 11, 3, -5, 17, 2, 9, -1]) / 8,), (np.array([-13, -4, 12, -21, -7, 10, 8]) / 8,)]


def _products(gains: np.ndarray, factors: tuple[int, int] = (1, -1)) -> np.ndarray:
    return np.array(list(itertools.product(factors, repeat=len(gains)))) * gains


def _means(gains: np.ndarray, factors: tuple[int, int] = (1, -1)) -> np.ndarray:
    return _products(gains, factors).mean(axis=1)


EXERCISES = {
    "sign_flip_p": Exercise(
        sign_flip_p,
        _inputs,
        {
            "one side": (
                lambda g: np.mean(_means(g) >= g.mean()),
                "You count only means that lie on one side. A mean as far below zero is as surprising: compare sizes.",
            ),
            "size on one side alone": (
                lambda g: np.mean(_means(g) >= abs(g.mean())),
                "You take the size of the observed mean and not of the others; those far below zero count too.",
            ),
            "the observed left out": (
                lambda g: np.mean(np.abs(_means(g)) > abs(g.mean())),
                "You count means that are larger. The observed one is among the 2**n and counts too: >=, not >.",
            ),
            "the other share": (
                lambda g: np.mean(np.abs(_means(g)) < abs(g.mean())),
                "This is the share of the means that are nearer to zero; p is the share of the others.",
            ),
            "how many": (
                lambda g: np.sum(np.abs(_means(g)) >= abs(g.mean())),
                "This is how many of the 2**n means are as large; p is their share.",
            ),
            "zeros and ones": (
                lambda g: np.mean(np.abs(_means(g, (0, 1))) >= abs(g.mean())),
                "You multiply by 0 and 1, which leaves differences out; their signs are to be flipped: 1 and -1.",
            ),
            "order changed": (
                lambda g: 1.0,
                "Your p is 1 for any differences. To change their order leaves their mean as it is; flip their signs.",
            ),
            "signs alone": (
                lambda g: scipy.stats.binomtest(int((g > 0).sum()), len(g)).pvalue,
                "This looks at how many differences are above zero, and not at how large they are: the sign test.",
            ),
            "ranks": (
                lambda g: scipy.stats.wilcoxon(g).pvalue,
                "This is Wilcoxon's test, which takes the differences by rank; here their mean was asked for.",
            ),
            "normal differences": (
                lambda g: scipy.stats.ttest_1samp(g, 0).pvalue,
                "This is the t test, which takes the differences as normal; here all 2**n signs are tried instead.",
            ),
            "median": (
                lambda g: np.mean(np.abs(np.median(_products(g), axis=1)) >= abs(np.median(g))),
                "You compare medians; the mean was asked for.",
            ),
        },
        "itertools.product([1, -1], repeat=len(gains)) gives all 2**n rows of signs. Multiply each row by gains and "
        "take its mean. How many of these means are at least as far from zero as the mean of gains?",
        repairs=False,
    ),
}  # fmt: skip
