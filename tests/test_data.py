"""Batches: both images alike, really augmented, shuffled, a function of seed and step alone."""

import numpy as np
import pytest
import torch

from ddpm_micro.data import BRIGHTNESS, PairedPatches, augment
from ddpm_micro.intensity import Percentiles


def coded_pairs(n: int = 6, size: int = 20) -> list[np.ndarray]:
    """Images in which every pixel tells which image and pixel it is."""
    return [1000.0 * i + np.arange(size * size, dtype=np.float32).reshape(size, size) for i in range(n)]


def test_both_images_of_a_pair_are_treated_alike() -> None:
    images = coded_pairs()
    patches = PairedPatches(images, [2 * image + 3 for image in images], 8)
    x0, cond = patches.batch(0, 16, seed=0)
    assert x0.shape == cond.shape == (16, 1, 8, 8) and x0.dtype == cond.dtype == torch.float32
    # high is linear in low, pixel by pixel; a crop, turn or gain of one image alone would break that.
    for one_x0, one_cond in zip(x0.flatten(1), cond.flatten(1), strict=True):
        assert np.corrcoef(one_x0, one_cond)[0, 1] == pytest.approx(1, abs=1e-5)


def test_augmentation_changes_patches() -> None:
    """All eight symmetries, many positions and many gains come up, in equal shares."""
    patches = PairedPatches(coded_pairs(1, 64), coded_pairs(1, 64), 16)
    kinds, gains = [], []
    for step in range(100):
        for patch in patches.batch(step, 8, seed=0)[0][:, 0]:
            down, right = (patch[1, 0] - patch[0, 0]).item(), (patch[0, 1] - patch[0, 0]).item()
            kinds.append((down > 0, right > 0, abs(down) > abs(right)))
            gains.append(max(abs(down), abs(right)))
    counts = [kinds.count(kind) for kind in set(kinds)]
    assert len(counts) == 8 and min(counts) > 60
    ratio = max(gains) / min(gains)
    assert 0.9 * BRIGHTNESS[1] / BRIGHTNESS[0] < ratio <= 1.01 * BRIGHTNESS[1] / BRIGHTNESS[0]


def test_augment_gives_eight_different_images_and_treats_both_alike() -> None:
    image = np.arange(9).reshape(3, 3)
    seen = [augment(image, image + 10, turns, flip) for turns in range(4) for flip in (False, True)]
    assert len({x0.tobytes() for x0, _ in seen}) == 8
    assert all((cond == x0 + 10).all() for x0, cond in seen)


def test_an_epoch_shows_every_image_once_in_a_new_order() -> None:
    constant = [np.full((8, 8), float(i), np.float32) for i in range(12)]
    patches = PairedPatches(constant, constant, 8)
    for i in range(12):  # what scaling took away: which image it is
        patches.x0[i][:], patches.cond[i][:] = i + 1, 1
    orders = []
    for epoch in range(2):
        seen = []
        for step in range(epoch * 3, epoch * 3 + 3):
            x0, cond = patches.batch(step, 4, seed=0)
            seen += [round(((a + 1) * 2 / (b + 1) - 1).mean().item()) for a, b in zip(x0, cond, strict=True)]
        assert sorted(seen) == list(range(1, 13))
        orders.append(seen)
    assert orders[0] != orders[1] and orders[0] != sorted(orders[0])


def test_batches_depend_on_seed_and_step_alone() -> None:
    patches = PairedPatches(coded_pairs(), coded_pairs(), 8)
    later = patches.batch(7, 4, seed=3)
    for step in range(7):
        patches.batch(step, 4, seed=3)
    torch.testing.assert_close(patches.batch(7, 4, seed=3), later, rtol=0, atol=0)
    for other in (
        patches.batch(8, 4, seed=3),
        patches.batch(7, 4, seed=4),
        patches.batch(7, 4, seed=3, rank=1, world=2),
    ):
        assert not torch.equal(other[0], later[0])


def test_large_images_are_shown_more_often() -> None:
    small, large = np.random.default_rng(0).random((2, 64, 64), np.float32)
    patches = PairedPatches([small[:16, :16], large], [small[:16, :16], large], 16)
    assert np.bincount(patches.items).tolist() == [1, 16]


def test_centres_are_the_middle_and_not_augmented() -> None:
    images = coded_pairs(3, 20)
    patches = PairedPatches(images, images, 8)
    x0, _ = patches.centres(2)
    assert x0.shape == (2, 1, 8, 8)
    for i in range(2):
        scaling = Percentiles().fit(images[i])
        np.testing.assert_allclose(x0[i, 0], scaling.apply(images[i][6:14, 6:14]), atol=1e-5)


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        ([], [], "at least one"),
        ([np.zeros((9, 9))], [], "got 1 low and 0 high"),
        ([np.zeros((9, 9))], [np.zeros((9, 8))], r"\(9, 9\) and \(9, 8\) in pair 0"),
        ([np.zeros((9, 7))], [np.zeros((9, 7))], r"at least 8 x 8 pixels, got \(9, 7\)"),
        ([np.zeros((2, 9, 9))], [np.zeros((2, 9, 9))], r"shape \(H, W\)"),
    ],
)
def test_mistakes_are_named(low: list, high: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PairedPatches(low, high, 8)


def test_training_sees_faulty_pixels_as_restoring_does() -> None:
    low = np.random.default_rng(0).poisson(100, (64, 64)).astype(np.float32)
    low[5, 7] = 65535
    patches = PairedPatches([low], [low + 1], 16)
    seen, scaling = Percentiles().values(low)
    np.testing.assert_allclose(patches.cond[0], seen, atol=1e-5)
    assert abs(patches.cond[0]).max() < 10 and patches.x0[0][5, 7] > 100  # the truth stays as it is
    np.testing.assert_allclose(patches.x0[0], scaling.apply(low + 1), rtol=1e-4)
