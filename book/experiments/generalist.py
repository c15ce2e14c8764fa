"""Train the generalist: half on the named specimens of the mixture, half on specimens without a name.

    python book/experiments/generalist.py FOLDER [--steps N] [--batch-size N] [--lr X] [--start NAME]

On a card that is minutes: 20,000 steps of 32 patches from nothing. On two CPU cores it is a fine-tuning of what is
shipped, over an hour: ``--steps 4000 --batch-size 8 --lr 0.02 --start generalist``. It can be stopped and goes on.

A specimen without a name is a heap of dead leaves: flat, shaded or grainy shapes of all sizes that hide each other.
Networks that have seen nothing else denoise photographs nearly as well as those trained on photographs (Achddou et al.
2021, SSVM), since an edge, a ridge, a corner and a grain look much the same everywhere. Each pair has a
microscope and a camera of its own, drawn as for the mixture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from ddpm_micro import checkpoint, simulate, train
from ddpm_micro.data import PairedPatches
from ddpm_micro.simulate.benchmark import NAMES, randomised
from ddpm_micro.simulate.microscope import FWHM_PER_SD, expose

UNNAMED = {"train": (11, 2048), "val": (12, 128)}  # seed, number of pairs
SIZE = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--start")
    arguments = parser.parse_args()
    config = train.TrainConfig(steps=arguments.steps, batch_size=arguments.batch_size, lr=arguments.lr)
    start = checkpoint.load_model(arguments.start) if arguments.start else None
    data = 'the train parts of simulate.split("mixture") and of book/experiments/generalist.py'
    parts = (PairedPatches(*pairs(part), config.patch) for part in ("train", "val"))
    train.fit(config, *parts, arguments.folder, start=start, data=data)


def pairs(part: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Low and high images, named and unnamed in turn, so that the first few hold both."""
    named, (seed, count) = simulate.split("mixture", part), UNNAMED[part]
    unnamed = [unnamed_pair(np.random.default_rng([seed, i])) for i in range(count)]
    both = [pair for two in zip(zip(named.low, named.high, strict=True), unnamed, strict=True) for pair in two]
    return [low for low, _ in both], [high for _, high in both]


def unnamed_pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One specimen without a name, imaged twice through a microscope of the mixture; each (SIZE, SIZE) float32."""
    microscope = randomised(NAMES[rng.integers(len(NAMES))], rng)
    psf_sd = microscope.low.fwhm_nm / FWHM_PER_SD / microscope.pixel_size_nm
    light = gaussian_filter(dead_leaves(rng, SIZE), min(psf_sd, 2.5))
    light = light - np.percentile(light, 0.5) * rng.random()  # haze in some, a black ground in others
    photons = microscope.photons * light.clip(0) / np.percentile(light, 99.5) * rng.uniform(0.6, 1.2)
    photons = photons + microscope.background * microscope.photons
    low, high = (expose(photons, one.camera, rng, frames=one.frames) for one in (microscope.low, microscope.high))
    return low, high


def dead_leaves(rng: np.random.Generator, size: int) -> np.ndarray:
    """Ellipses that hide each other, with radii of density r**-3 as in photographs (Lee et al. 2001); about 0..1."""
    image = np.full((size, size), rng.random())
    smallest, largest = rng.uniform(1, 3), rng.uniform(15, 60)
    threads = rng.random() * (rng.random() < 0.7)  # share of leaves that are long and thin
    direction, spread = rng.uniform(0, np.pi), rng.uniform(0.05, np.pi)
    for _ in range(int(rng.integers(150, 900))):
        radius = (smallest**-2 - rng.random() * (smallest**-2 - largest**-2)) ** -0.5
        stretch = np.exp(rng.uniform(1, 2.5) if rng.random() < threads else rng.normal(0, 0.6))
        angle = direction + spread * rng.uniform(-0.5, 0.5)
        middle = rng.uniform(-5, size + 5, 2)
        reach = radius * max(stretch, 1 / stretch) ** 0.5
        (top, left), (bottom, right) = (
            np.clip(np.round(middle + side), 0, size).astype(int) for side in (-reach, reach + 1)
        )
        if top >= bottom or left >= right:
            continue
        row, column = np.mgrid[top:bottom, left:right]
        along = (column - middle[1]) * np.cos(angle) + (row - middle[0]) * np.sin(angle)
        across = (row - middle[0]) * np.cos(angle) - (column - middle[1]) * np.sin(angle)
        inside = (along / stretch**0.5) ** 2 + (across * stretch**0.5) ** 2 < radius**2
        image[top:bottom, left:right][inside] = rng.random() ** rng.uniform(1, 3)
    if rng.random() < 0.5:
        image *= np.exp(0.5 * rng.random() * grain(rng, size))
    if rng.random() < 0.3:
        image += 0.3 * gaussian_filter(image, rng.uniform(4, 12))  # what lies out of focus
    return image


def grain(rng: np.random.Generator, size: int) -> np.ndarray:
    """A random texture of mean 0 and variance 1 whose power falls with a random power of the frequency."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    frequency[0, 0] = 1
    texture = np.fft.ifft2(np.fft.fft2(rng.normal(size=(size, size))) * frequency ** -rng.uniform(0.6, 2.2)).real
    return (texture - texture.mean()) / texture.std()


if __name__ == "__main__":
    main()
