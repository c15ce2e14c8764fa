"""Training batches: random patches of paired images, scaled and augmented."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ddpm_micro.files import tiff
from ddpm_micro.intensity import Percentiles

BRIGHTNESS = (0.4, 1.1)  # range of the factor on a training patch: mostly it is dimmed


class PairedPatches:
    """Patches of (low, high) image pairs, as network values.

    The batch of a training step is a function of the seed and the step alone, so that a run that was stopped
    goes on with the batches it would have seen.

    Parameters
    ----------
    low, high : sequence of ndarray, each (H, W)
        Grey levels; the two images of a pair have one shape, pairs may differ. Both images of a pair are scaled
        by the low one.
    patch : int, pixels
        Side of a patch; smaller images are an error.
    percentiles : Percentiles
    """

    def __init__(
        self, low: Sequence[np.ndarray], high: Sequence[np.ndarray], patch: int, percentiles: Percentiles | None = None
    ) -> None:
        self.patch, self.percentiles = patch, percentiles or Percentiles()
        if len(low) != len(high) or not len(low):
            raise ValueError(
                f"expected as many high as low images and at least one, got {len(low)} low and {len(high)} high"
            )
        self.cond, self.x0 = [], []
        for number, (one_low, one_high) in enumerate(zip(low, high, strict=True)):
            if one_low.shape != one_high.shape or one_low.ndim != 2:
                raise ValueError(
                    f"expected images of one shape (H, W), got {one_low.shape} and {one_high.shape} in pair {number}"
                )
            if min(one_low.shape) < patch:
                raise ValueError(
                    f"expected at least {patch} x {patch} pixels, got {one_low.shape} in pair {number}; lower patch"
                )
            scaling = self.percentiles.fit(one_low)
            self.cond.append(scaling.apply(one_low).astype(np.float32))
            self.x0.append(scaling.apply(one_high).astype(np.float32))
        # One item for each patch that fits side by side: an epoch shows a large image more often than a small one.
        self.items = np.repeat(np.arange(len(low)), [(a.shape[0] // patch) * (a.shape[1] // patch) for a in self.cond])

    def fingerprint(self) -> str:
        """A hash of all images, by which a run knows its data again."""
        digest = hashlib.sha256()
        for image in (*self.x0, *self.cond):
            digest.update(repr(image.shape).encode())
            digest.update(np.ascontiguousarray(image))
        return digest.hexdigest()

    def batch(self, step: int, batch_size: int, *, seed: int, rank: int = 0, world: int = 1) -> tuple[Tensor, Tensor]:
        """x0 and cond of a training step, each (batch_size, 1, patch, patch) float32.

        Patches come shuffled, are cut out anywhere, flipped, turned and dimmed, x0 and cond alike.

        Dimming moves all values towards -1, the dark end: in a large image one bright spot can set the scale,
        and then most patches are dimmer than any of a small image.

        ``rank`` and ``world`` share an epoch's items out among several processes.
        """
        first = (step * world + rank) * batch_size
        rng = np.random.default_rng([seed, 1, step, rank])
        x0, cond = [], []
        for number in range(first, first + batch_size):
            epoch, position = divmod(number, len(self.items))
            item = self.items[_shuffled(len(self.items), seed, epoch)[position]]
            height, width = self.cond[item].shape
            top, left = rng.integers(height - self.patch + 1), rng.integers(width - self.patch + 1)
            window = slice(top, top + self.patch), slice(left, left + self.patch)
            symmetry, gain = int(rng.integers(8)), np.float32(rng.uniform(*BRIGHTNESS))
            patches = augment(self.x0[item][window], self.cond[item][window], symmetry % 4, symmetry >= 4)
            for batch, image in zip((x0, cond), patches):
                batch.append((image + 1) * gain - 1)
        return _stack(x0), _stack(cond)

    def centres(self, most: int) -> tuple[Tensor, Tensor]:
        """x0 and cond of the middle patch of the first ``most`` pairs, not augmented: for validation."""
        x0, cond = [], []
        for one_x0, one_cond in zip(self.x0[:most], self.cond[:most], strict=True):
            window = tuple(
                slice((side - self.patch) // 2, (side - self.patch) // 2 + self.patch) for side in one_cond.shape
            )
            x0.append(one_x0[window])
            cond.append(one_cond[window])
        return _stack(x0), _stack(cond)


def augment(x0: np.ndarray, cond: np.ndarray, turns: int, flip: bool) -> tuple[np.ndarray, np.ndarray]:
    """Turn both images (H, W) by quarter turns, then flip both left to right if asked to: eight symmetries in all."""
    x0, cond = np.rot90(x0, turns), np.rot90(cond, turns)
    if flip:
        x0, cond = x0[:, ::-1], cond[:, ::-1]
    return x0, cond


def read_pairs(folder: str | Path) -> tuple[list[np.ndarray], list[np.ndarray], list[str]]:
    """The planes of ``folder/low/*.tif``, of the files of the same names in ``folder/high``, and the file of each.

    Raises
    ------
    ValueError
        If a folder is missing or empty, a file has no partner, or two partners differ in shape.
    """
    folder = Path(folder)
    names = {}
    for side in ("low", "high"):
        names[side] = {p.name for p in (folder / side).glob("[!.]*") if p.suffix.lower() in (".tif", ".tiff")}
        if not names[side]:
            raise ValueError(
                f"expected TIFF files in {folder / side}, found none; training pairs are low/NAME.tif and high/NAME.tif"
            )
    alone = sorted(names["low"] ^ names["high"])
    if alone:
        raise ValueError(
            f"expected the same file names in {folder}/low and {folder}/high; without partner: {', '.join(alone[:5])}"
        )
    low, high, files = [], [], []
    for name in sorted(names["low"]):
        pair = [tiff.read(folder / side / name).image for side in ("low", "high")]
        if pair[0].shape != pair[1].shape:
            raise ValueError(f"expected low and high of one shape, got {pair[0].shape} and {pair[1].shape} for {name}")
        for planes, image in zip((low, high), pair, strict=True):
            planes.extend(image.reshape(-1, *image.shape[-2:]).astype(np.float32))
        files += [name] * (len(low) - len(files))
    return low, high, files


@lru_cache(maxsize=2)
def _shuffled(n: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, 0, epoch]).permutation(n)


def _stack(images: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.stack(images)[:, None]))
