"""The residual check: silent where what was removed is noise, and an alarm where it is structure or another noise."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from ddpm_micro import residual
from ddpm_micro.residual import ResidualCheck


def field(seed: int, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Frame and truth, in network values: smooth structure of up to 40 photons, and their noise."""
    rng = np.random.default_rng(seed)
    light = gaussian_filter(rng.normal(size=(size, size)), 2.5)
    truth = 3 + 12 * np.clip(light / light.std(), 0, None)
    return (rng.poisson(truth) - 20) / 20, (truth - 20) / 20


@pytest.fixture(scope="module")
def check() -> ResidualCheck:
    """Fitted on 200 fields that were restored exactly."""
    fields = [field(seed) for seed in range(200)]
    return residual.fit((low, truth, truth) for low, truth in fields)


def alarms(check: ResidualCheck, restored: object, seeds: range = range(1000, 1020)) -> float:
    fields = [field(seed) for seed in seeds]
    return np.mean([check.number(*restored(*one))[0] > check.threshold for one in fields])


def test_about_one_in_a_hundred_sound_fields_is_an_alarm(check: ResidualCheck) -> None:
    assert check.applies and check.windows == 200
    assert alarms(check, lambda low, truth: (low, truth), range(1000, 1300)) < 0.04  # binomial: .01 + 5 sd


@pytest.mark.parametrize(
    ("failure", "sign"),
    [
        (lambda low, truth: (low, gaussian_filter(truth, 2)), "follows the fine structure"),  # structure removed
        (lambda low, truth: (low, truth + 0.3 * field(0)[1]), "correlated over 2 px"),  # structure of another field
        (lambda low, truth: (low, np.roll(truth, 2, axis=0)), "correlated over 1 px"),
        (lambda low, truth: (gaussian_filter(low - truth, 1) + truth, truth), "correlated over 1 px"),
        (
            lambda low, truth: (truth + 0.3 * np.random.default_rng(1).normal(size=low.shape), truth),
            "stronger or weaker",
        ),
        (lambda low, truth: (low + 3 * (np.random.default_rng(1).random(low.shape) < 0.01), truth), "outliers"),
    ],
    ids=["smoothed", "invented", "shifted", "correlated noise", "constant noise", "hot pixels"],
)
def test_a_failure_is_found_and_named(check: ResidualCheck, failure: object, sign: str) -> None:
    assert alarms(check, failure) > 0.9
    names = [check.number(*failure(*field(seed)))[1] for seed in range(1000, 1010)]
    assert sign in max(set(names), key=names.count)


def test_a_larger_plane_has_fewer_false_alarms(check: ResidualCheck) -> None:
    numbers = [check.number(*field(seed, 150))[0] for seed in range(2000, 2010)]
    assert np.mean(np.array(numbers) > check.threshold) == 0
    assert len(list(residual.windows(*field(0, 150)))) == 9


def test_the_check_does_not_apply_where_the_truth_is_sharper() -> None:
    fields = [field(seed) for seed in range(120)]
    check = residual.fit((gaussian_filter(truth, 2) + low - truth, truth, truth) for low, truth in fields)
    assert not check.applies
    with pytest.raises(ValueError, match="does not apply"):
        check.number(*fields[0])


def test_it_takes_a_hundred_windows_and_64_pixels(check: ResidualCheck) -> None:
    assert residual.fit((*field(0), field(0)[1]) for _ in range(98)) is None
    assert residual.fit((*field(i), field(i)[1]) for i in range(99)).windows == 99
    assert residual.fit([]) is None
    with pytest.raises(ValueError, match=r"at least 64 x 64 pixels, got \(63, 64\)"):
        check.number(np.zeros((63, 64)), np.zeros((63, 64)))


def test_the_map_is_normal_where_all_that_was_removed_is_noise() -> None:
    low, truth = field(0, 128)
    z = residual.error_map(low, truth)
    assert abs(z.mean()) < 0.03 and z.std() == pytest.approx(1, abs=0.03)
    dim, bright = truth < np.median(truth), truth > np.quantile(truth, 0.9)
    assert z[dim].std() == pytest.approx(z[bright].std(), abs=0.15)
    assert (low - truth)[bright].std() > 2 * (low - truth)[dim].std()


def test_flat_and_noiseless_planes_have_a_number(check: ResidualCheck) -> None:
    for low in (np.zeros((64, 64)), np.eye(64)):
        for mean in (np.zeros((64, 64)), np.eye(64)):
            assert np.isfinite(check.number(low, mean)[0])
