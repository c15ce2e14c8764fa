"""Training batches: random patches of paired images, scaled and augmented."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ddpm_micro.intensity import Percentiles
from ddpm_micro.noise import seeded

BRIGHTNESS = (0.4, 1.1)  # range of the factor on a training patch: mostly it is dimmed


class PairedPatches:
    """Patches of (low, high) image pairs, as network values.

    The batch of a training step is a function of the seed and the step alone. A run that was stopped therefore goes on
    with the batches that it would have seen.

    ``low`` and ``high`` are images of shape (H, W) in grey levels. The two images of a pair have one shape, pairs may
    differ. Both images are scaled by the low one. ``patch`` is the side of a patch in pixels; no image may be smaller.
    """

    def __init__(
        self, low: Sequence[np.ndarray], high: Sequence[np.ndarray], patch: int, percentiles: Percentiles | None = None
    ) -> None:
        self.patch, self.percentiles = patch, percentiles or Percentiles()
        if len(low) != len(high) or not len(low):
            raise ValueError(
                f"expected as many high as low images and at least one, got {len(low)} low and {len(high)} high"
            )
        for number, (one_low, one_high) in enumerate(zip(low, high, strict=True)):
            if one_low.shape != one_high.shape or one_low.ndim != 2:
                raise ValueError(
                    f"expected images of one shape (H, W), got {one_low.shape} and {one_high.shape} in pair {number}"
                )
            if min(one_low.shape) < patch:
                raise ValueError(
                    f"expected at least {patch} x {patch} pixels, got {one_low.shape} in pair {number}; lower patch"
                )
        heights, widths = np.array([image.shape for image in low]).T
        ends = np.cumsum(heights * widths)
        pixels = np.empty((2, ends[-1]), np.float32)
        self.x0, self.cond = (  # lists of float32 (H, W), network values: views of ``pixels``, where all lie in a row
            [line[end - h * w : end].reshape(h, w) for end, h, w in zip(ends, heights, widths, strict=True)]
            for line in pixels
        )
        for one_low, one_high, x0, cond in zip(low, high, self.x0, self.cond, strict=True):
            cond[:], scaling, _ = self.percentiles.seen(one_low)  # as in restoring
            # Where low serves as high, as for Noise2Void, the two stay equal: validation knows by this what it sees.
            x0[:] = cond if np.array_equal(one_low, one_high) else scaling.apply(one_high)
        self.pixels = torch.from_numpy(pixels)
        self.layout = torch.from_numpy(np.stack([ends - heights * widths, heights, widths], axis=1))
        # One item for each patch that fits side by side: an epoch shows a large image more often than a small one.
        self.items = torch.from_numpy(np.repeat(np.arange(len(low)), (heights // patch) * (widths // patch)))
        numbers = np.arange(patch**2).reshape(patch, patch)
        turned = np.stack([augment(numbers, numbers, turns, flip)[0] for flip in (False, True) for turns in range(4)])
        self.symmetries = torch.from_numpy(np.stack([turned // patch, turned % patch]))  # rows, columns: (2, 8, H, W)

    def to(self, device: torch.device) -> PairedPatches:
        """The same patches with their images on a device, where batches are then made.

        Images that would fill more than half of a GPU's free memory stay where they are.
        """
        if device.type == "cuda" and self.pixels.nbytes > torch.cuda.mem_get_info(device)[0] / 2:
            return self
        moved = copy.copy(self)
        for name in ("pixels", "layout", "items", "symmetries"):
            setattr(moved, name, getattr(self, name).to(device))
        return moved

    def fingerprint(self) -> str:
        """A hash of all images, by which a run knows its data again."""
        digest = hashlib.sha256()
        for image in (*self.x0, *self.cond):
            digest.update(repr(image.shape).encode())
            digest.update(np.ascontiguousarray(image))
        return digest.hexdigest()

    def batch(self, step: int, batch_size: int, *, seed: int, rank: int = 0, world: int = 1) -> tuple[Tensor, Tensor]:
        """x0 and cond of a training step, each (batch_size, 1, patch, patch) float32, on the device of the images.

        Patches come shuffled, are cut out anywhere, flipped, turned and dimmed, x0 and cond alike.

        Dimming moves all values towards -1, the dark end: in a large image one bright spot can set the scale,
        and then most patches are dimmer than any of a small image.

        ``rank`` and ``world`` share an epoch's items out among several processes.
        """
        device = self.pixels.device
        random = {"generator": seeded(seed, 1, step, rank, device=device), "device": device}
        item = self._shuffled((step * world + rank) * batch_size, batch_size, seed)
        start, height, width = self.layout[item].T[..., None, None]  # each (B, 1, 1)
        place = torch.rand(3, batch_size, 1, 1, **random)
        top, left = (place[0] * (height - self.patch + 1)).long(), (place[1] * (width - self.patch + 1)).long()
        gain = BRIGHTNESS[0] + place[2] * (BRIGHTNESS[1] - BRIGHTNESS[0])
        row, column = self.symmetries[:, torch.randint(8, (batch_size,), **random)]  # each (B, patch, patch)
        numbers = start + (top + row) * width + left + column
        x0, cond = (self.pixels[:, numbers] + 1) * gain - 1
        return x0[:, None], cond[:, None]

    def _shuffled(self, first: int, count: int, seed: int) -> Tensor:
        """The images that the next ``count`` patches are cut from; each epoch goes through all items in a new order."""
        n, device = len(self.items), self.items.device
        epochs = range(first // n, (first + count - 1) // n + 1)
        order = torch.cat([_permutation(n, seed, epoch, device) for epoch in epochs])
        return self.items[order[first % n : first % n + count]]

    def centres(self, most: int) -> tuple[Tensor, Tensor]:
        """x0 and cond of the middle patch of the first ``most`` pairs, not augmented: for validation."""
        middle = [
            tuple(slice(start := (side - self.patch) // 2, start + self.patch) for side in image.shape)
            for image in self.x0[:most]
        ]
        x0, cond = (np.stack([image[m] for image, m in zip(images, middle)]) for images in (self.x0, self.cond))
        return torch.from_numpy(x0)[:, None], torch.from_numpy(cond)[:, None]


def augment(x0: np.ndarray, cond: np.ndarray, turns: int, flip: bool) -> tuple[np.ndarray, np.ndarray]:
    """Turn both images (H, W) by quarter turns, then flip both left to right if asked to: eight symmetries in all."""
    x0, cond = np.rot90(x0, turns), np.rot90(cond, turns)
    if flip:
        x0, cond = x0[:, ::-1], cond[:, ::-1]
    return x0, cond


@lru_cache(maxsize=2)
def _permutation(n: int, seed: int, epoch: int, device: torch.device) -> Tensor:
    return torch.randperm(n, generator=seeded(seed, 0, epoch)).to(device)
