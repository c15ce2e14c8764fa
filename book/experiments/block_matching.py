"""BM3D (Dabov et al. 2007, doi 10.1109/TIP.2007.901238), written from the article, and noise made constant for it.

Patches that look alike are stacked, the stack is transformed, small coefficients are removed (in a second pass: shrunk
after Wiener, with the first result as the pilot), and all estimates of a pixel are averaged. Noise of a known spectrum
has its own variance at each coefficient (Dabov et al. 2008, doi 10.1117/12.766355). Both transforms in the plane are
cosine transforms; along the stack it is Haar's.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import dct
from torch import Tensor

SIDE, STEP, REACH = 8, 3, 19  # px: side of a patch, distance of reference patches, how far away to look for others
HARD, WIENER = (16, 2500.0, 2.7), (32, 400.0, None)  # patches in a stack, largest distance (range 255), threshold
DCT = torch.from_numpy(dct(np.eye(SIDE), norm="ortho", axis=0)).float()
WINDOW = torch.outer(*2 * [torch.from_numpy(np.kaiser(SIDE, 2.0)).float()])


def bm3d(image: np.ndarray, sd: float = 1.0, spectrum: np.ndarray | None = None) -> np.ndarray:
    """Denoise an image of shape (H, W), sides >= 27 px, with noise of standard deviation ``sd``.

    ``spectrum``, of the shape of the image, is the power of the noise at each frequency of `numpy.fft.fft2`, with mean
    ``sd**2``; without it the noise is white.
    """
    low, high = float(image.min()), float(image.max())
    scale = 255 / (high - low)
    noisy = torch.from_numpy((image - low) * scale).float()
    shape = torch.ones(SIDE, SIDE) if spectrum is None else coefficient_power(spectrum / spectrum.mean())
    variance = (sd * scale) ** 2 * shape
    pilot = _stage(noisy, noisy, variance, *HARD)
    return _stage(noisy, pilot, variance, *WIENER).double().numpy() / scale + low


def coefficient_power(spectrum: np.ndarray) -> Tensor:
    """Variance of each cosine coefficient of a patch of noise with this power spectrum, shape (8, 8)."""
    basis = [np.abs(np.fft.fft(DCT.double().numpy(), n, axis=1)) ** 2 for n in spectrum.shape]
    return torch.from_numpy(basis[0] @ spectrum @ basis[1].T / spectrum.size).float()


def _stage(
    noisy: Tensor, pilot: Tensor, variance: Tensor, most: int, distance: float, threshold: float | None
) -> Tensor:
    """One pass: hard thresholding if there is a threshold, else Wiener's shrinkage by the pilot."""
    height, width = noisy.shape
    more = [-(side - SIDE) % STEP for side in noisy.shape]  # so that the last reference patch ends at the edge
    noisy, pilot = (F.pad(x[None, None], (0, more[1], 0, more[0]), "reflect")[0, 0] for x in (noisy, pilot))
    corners, apart = _matches(pilot, most)
    counts = (apart <= distance).sum(1).clamp(min=1)
    row = torch.arange(SIDE)
    inside = (row[:, None] * noisy.shape[1] + row).flatten()  # the pixels of a patch, counted from its corner
    total, weights = torch.zeros(2, noisy.numel())
    for size in (2**k for k in range(most.bit_length())):  # Haar's transform wants a power of two
        chosen = torch.nonzero((counts >= size) & (counts < 2 * size))[:, 0]
        for part in chosen.split(2**20 // (size * SIDE**2)):
            pixels = corners[part, :size, None] + inside  # (stacks, patches, 64)
            estimate, weight = _filter(noisy.flatten()[pixels], pilot.flatten()[pixels], variance, threshold)
            weight = weight[:, None, None] * WINDOW.flatten()
            total.index_add_(0, pixels.flatten(), (weight * estimate).flatten())
            weights.index_add_(0, pixels.flatten(), weight.expand_as(estimate).flatten())
    return (total / weights).view_as(noisy)[:height, :width]


def _filter(stack: Tensor, pilot: Tensor, variance: Tensor, threshold: float | None) -> tuple[Tensor, Tensor]:
    """Shrink stacks of patches, (R, n, 64), in their transform; the weight of each is one over its noise left."""
    haar, plane = _haar(stack.shape[1]), torch.kron(DCT, DCT)
    coefficients = haar @ stack @ plane.T
    if threshold is None:
        power = (haar @ pilot @ plane.T) ** 2
        gain = power / (power + variance.flatten())
    else:
        gain = (coefficients.abs() > threshold * variance.flatten().sqrt()).float()
        gain[:, 0, 0] = 1
    left = (gain**2 * variance.flatten()).sum((1, 2))
    return haar.T @ (gain * coefficients) @ plane, 1 / left


def _matches(image: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Corners (in the flat image) and mean squared distances of the patches nearest to each reference patch."""
    height, width = image.shape
    padded = F.pad(image, 4 * [REACH], value=torch.inf)  # nothing beyond the edge is near
    shifts = [(y, x) for y in range(-REACH, REACH + 1) for x in range(-REACH, REACH + 1)]
    apart = []
    for y, x in shifts:
        other = padded[REACH + y : REACH + y + height, REACH + x : REACH + x + width]
        squares = F.avg_pool2d((image - other).square()[None], (SIDE, 1), (STEP, 1))  # by rows, then by columns: faster
        apart.append(F.avg_pool2d(squares, (1, SIDE), (1, STEP)).flatten())
    nearest = torch.stack(apart, dim=1).topk(most, largest=False)
    rows, columns = (torch.arange(0, side - SIDE + 1, STEP) for side in image.shape)
    own = (rows[:, None] * width + columns).reshape(-1, 1)
    return own + torch.tensor([y * width + x for y, x in shifts])[nearest.indices], nearest.values


@lru_cache
def _haar(size: int) -> Tensor:
    """Haar's orthonormal transform of a power of two values."""
    if size == 1:
        return torch.ones(1, 1)
    half = _haar(size // 2)
    means, steps = torch.kron(half, torch.ones(1, 2)), torch.kron(torch.eye(size // 2), torch.tensor([[1.0, -1.0]]))
    return torch.cat([means, steps]) / 2**0.5
