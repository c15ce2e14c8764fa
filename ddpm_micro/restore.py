"""Restoration: draw K samples of the clean image, keep their mean and their spread."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from ddpm_micro.calibrate import Calibration, why_no_error
from ddpm_micro.intensity import Scaling, scale_back
from ddpm_micro.model import AUTO_TILE, Model
from ddpm_micro.noise import Negated, seeded
from ddpm_micro.samplers import SAMPLERS
from ddpm_micro.tiling import tiled


@dataclass(frozen=True)
class Restoration:
    """The outcome of `restore`, in the units of the image it was given."""

    mean: np.ndarray  # of the samples, the estimate with the least squared error; float32, (H, W) or (N, H, W)
    # Deviation of the samples, where the model is unsure; NaN for one sample. The denominator is K - 1 or, for
    # antithetic samples, whose mean is all but known, K. The shape of ``mean``.
    std: np.ndarray
    samples: np.ndarray | None = None  # (K, H, W) or (K, N, H, W), if asked for: each could have been the image
    error: np.ndarray | None = None  # expected root mean squared error of each pixel, of a model calibrated for it
    calibration: Calibration | None = None  # of the model
    settings: dict[str, Any] = field(default_factory=dict)  # how the samples were drawn

    def interval(self, level: int = 90) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bound of each pixel, between which the truth lies with a probability of ``level`` per cent.

        `ddpm_micro.calibrate` says on which average. ValueError without an `error`, and for an unknown level.
        """
        if self.error is None:
            raise ValueError(why_no_error(self.calibration, self.settings))
        reach = np.float32(self.calibration.factor(level)) * self.error
        return self.mean - reach, self.mean + reach


@torch.no_grad()
def restore(
    model: Model,
    image: np.ndarray,
    *,
    samples: int = 15,
    sampler: str = "dpmpp_2m",
    steps: int | None = None,
    seed: int = 0,
    tile: int | None = None,
    keep_samples: bool = False,
    progress: bool = True,
    antithetic: bool = False,
    plane: int = 0,
) -> Restoration:
    """Restore a micrograph.

    Parameters
    ----------
    model : Model
    image : ndarray, shape (H, W) or (N, H, W), any H, W >= 1, grey levels
        Each plane of a stack is restored on its own scale and with its own noise.
    samples : int, >= 1
        How many, K. Memory does not depend on it unless ``keep_samples``. The default is the article's. Four
        antithetic pairs, which the command line draws, take half the time and have the better mean.
    sampler : {"dpmpp_2m", "ddim", "ddpm"}
    steps : int, 1..T, optional
        Network calls per sample; by default the sampler's own number.
    seed : int, >= 0
        The noise of sample k depends on ``(seed, plane, k)`` alone: not on K, on the batch or on tiles.
    tile : int, pixels, optional
        Side of the windows in which the network sees the image; by default 192. The noise field is one
        whatever the tiles.
    keep_samples, progress : bool
        Return the K samples as well; show a progress bar.
    antithetic : bool
        Draw an even number of samples, in pairs: sample 1 from the noise of sample 0 with its sign turned, and so on.
        Each is a sample as before, but the two lie on opposite sides of the mean, so that the mean of a pair is about
        as good as the mean of dozens that are independent (arXiv 2506.06185; chapter 7 measures it).
    plane : int, >= 0
        Number of the image, or of a stack's first plane, among those that are restored one after the other. Each draws
        noise of its own, so that the errors of neighbours are independent and an average over frames averages them.

    Raises
    ------
    ValueError
        For an unsuitable image (see `Model.planes`), an unknown sampler, or a number out of its range.
    """
    settings = draw_settings(model, samples=samples, antithetic=antithetic, sampler=sampler, steps=steps)
    sample, steps = SAMPLERS[sampler], settings["steps"]
    denoiser = tiled(model, AUTO_TILE if tile is None else tile)
    planes = model.planes(image)
    height, width = np.shape(image)[-2:]
    together = model.planes_at_once((height, width), tile, samples)

    scales = []  # grey levels per network value of each plane
    moments = np.empty((2, *np.shape(image)), np.float32)
    mean, std = (part.reshape(-1, height, width) for part in moments)
    kept = np.empty((samples, *mean.shape), np.float32) if keep_samples else None

    def draw(first: int, conds: list[Tensor], scalings: list[Scaling]) -> Iterator[np.ndarray]:
        """Sample 0 of some planes, then sample 1 of them and so on, each (planes, H, W), as network values."""
        batch = max(1, model.images_at_once((height, width), tile) // len(conds))
        for start in range(0, samples, batch):
            numbers = range(start, min(start + batch, samples))
            keys = [(seed, plane + first + i, k) for k in numbers for i in range(len(conds))]
            drawn = sample(
                denoiser,
                model.schedule,
                torch.cat(conds).repeat(len(numbers), 1, 1, 1),
                steps=steps,
                generator=[noise_of(*key, antithetic=antithetic) for key in keys],
                callback=lambda *_: bar.update(len(keys)),  # noqa: B023 (called within this turn of the loop)
            )
            drawn = drawn.reshape(len(numbers), len(conds), height, width).cpu().double().numpy()
            for k, images in zip(numbers, drawn, strict=True):
                if kept is not None:
                    kept[k, first : first + len(conds)] = [s.invert(x0) for s, x0 in zip(scalings, images, strict=True)]
                yield images

    with tqdm(total=len(mean) * samples * steps, disable=not progress, desc="sampling", unit="call") as bar:
        for first in range(0, len(mean), together):
            conds, scalings = zip(*islice(planes, together), strict=True)
            with np.errstate(invalid="ignore", divide="ignore"):  # one sample has no spread: 0 / 0 is NaN
                values = running_mean_std(draw(first, conds, scalings))
            for number, scaling, *of_plane in zip(range(first, len(mean)), scalings, *values, strict=False):
                mean[number], std[number] = scaling.kept(*scale_back(*of_plane, scaling.offset, scaling.scale))
                scales.append(scaling.scale)
    if antithetic:
        std *= np.sqrt((samples - 1) / samples)
    all_samples = None if kept is None else kept.reshape(samples, *np.shape(image))
    error = None
    if why_no_error(model.calibration, settings) is None:
        scale = np.reshape(scales, (-1, 1, 1)) if np.ndim(image) == 3 else scales[0]
        error = (scale * model.calibration.expected_error(moments[1] / scale)).astype(np.float32)
    return Restoration(*moments, all_samples, error, calibration=model.calibration, settings=settings)


def noise_of(seed: int, plane: int, k: int, *, antithetic: bool) -> torch.Generator | Negated:
    """The source of the noise of sample k of a plane, a function of these numbers alone."""
    key = (seed, plane) if plane else (seed,)
    return Negated(seeded(*key, k - 1)) if antithetic and k % 2 else seeded(*key, k)


def running_mean_std(samples: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation in one pass, two images in memory whatever their number (Welford 1962)."""
    mean, deviations = 0.0, 0.0
    for k, sample in enumerate(samples, start=1):
        before = sample - mean
        mean = mean + before / k
        deviations = deviations + before * (sample - mean)  # of squares from the mean so far
    return mean, np.sqrt(deviations / (k - 1))


def draw_settings(model: Model, *, samples: int, antithetic: bool, sampler: str, steps: int | None) -> dict[str, Any]:
    """How `restore` draws with these arguments, which are checked; None becomes the sampler's own number of steps."""
    if model.method != "ddpm":
        raise ValueError(
            f"expected a diffusion model, got a {model.method} network, which draws no samples; "
            "ask it once, with model.posterior_mean"
        )
    if samples < 1:
        raise ValueError(f"expected samples >= 1, got {samples}")
    if antithetic and samples > 1 and samples % 2:
        raise ValueError(
            f"expected an even number of antithetic samples, which come in pairs, got {samples}; "
            f"take {samples + 1}, or draw them independently (--no-antithetic)"
        )
    if sampler not in SAMPLERS:
        raise ValueError(f"expected sampler to be one of {', '.join(SAMPLERS)}, got {sampler!r}")
    if steps is None:
        T = model.schedule.num_train_timesteps
        steps = min(inspect.signature(SAMPLERS[sampler]).parameters["steps"].default or T, T)
    model.schedule.timesteps(steps)  # a wrong number of steps is told before any work
    return {"samples": samples, "antithetic": antithetic, "sampler": sampler, "steps": steps}
