"""The four benchmark sets and their mixture: pairs of a low- and a high-quality image of the same specimen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ddpm_micro.choices import SETS, did_you_mean
from ddpm_micro.simulate.emitters import Emitters
from ddpm_micro.simulate.microscope import Camera, expose, render
from ddpm_micro.simulate.specimens import microtubules, mitochondria, synapses, zebrafish


@dataclass(frozen=True)
class Pairs:
    """Images of the same specimens, taken twice; ``len`` is their number n.

    ``high`` is put on the scale of ``low``: where the optics are the same, ``low`` scatters around ``high``, except
    near saturation (see `expose`).
    """

    low: np.ndarray  # (n, size, size), float32, grey levels
    high: np.ndarray  # (n, size, size), float32, grey levels of the low camera
    pixel_size_nm: np.ndarray  # (n,), nm

    def __len__(self) -> int:
        return len(self.low)


@dataclass(frozen=True)
class Acquisition:
    """One way of taking an image."""

    fwhm_nm: float  # nm, full width at half maximum of the PSF in focus
    camera: Camera
    dose: float = 1.0  # light relative to the low-quality image
    frames: int = 1  # frames that are averaged


@dataclass(frozen=True)
class Experiment:
    """A specimen and the two ways it is imaged."""

    specimen: Callable[[np.random.Generator, float], Emitters]  # (rng, extent_nm) -> emitters
    pixel_size_nm: float  # nm
    photons: float  # expected photo-electrons of the low image where the specimen is brightest (99.5th percentile)
    background: float  # stray light as a fraction of ``photons``
    rayleigh_nm: float  # nm, depth of focus, see `render`
    low: Acquisition
    high: Acquisition

    def light(self, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw one specimen: the photons expected through the optics of low and of high, each (size, size)."""
        emitters = self.specimen(rng, size * self.pixel_size_nm)
        optics = {"pixel_size_nm": self.pixel_size_nm, "rayleigh_nm": self.rayleigh_nm}
        light = render(emitters, size, fwhm_nm=self.low.fwhm_nm, **optics)
        if self.high.fwhm_nm == self.low.fwhm_nm:
            sharper = light
        else:
            sharper = render(emitters, size, fwhm_nm=self.high.fwhm_nm, **optics)
        # Exposure is set on the specimen, as at the microscope, and not every specimen ends up equally bright.
        per_light = self.photons * rng.uniform(0.6, 1.2) / max(np.percentile(light, 99.5), 1e-12)
        stray = self.background * self.photons
        return light * per_light + stray, sharper * per_light + stray

    def pair(self, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw one specimen and image it twice: ``low``, ``high``, each (size, size) float32 in low's grey levels."""
        light, sharper = self.light(rng, size)
        low = expose(light, self.low.camera, rng, frames=self.low.frames)
        high = expose(sharper * self.high.dose, self.high.camera, rng, frames=self.high.frames)
        photons = (high - self.high.camera.offset) / self.high.camera.gain / self.high.dose
        return low, (photons * self.low.camera.gain + self.low.camera.offset).astype(np.float32)


_COUNTER = Camera(gain=1.0, bits=8)  # a photon-counting detector: grey level = count
_PMT = Camera(gain=14.0, offset=4.0, read_noise=0.15, bits=8)

BENCHMARKS = {
    # STED, 17 times the light.
    "microtubules": Experiment(
        microtubules, pixel_size_nm=25, photons=6.0, background=0.06, rayleigh_nm=400,
        low=Acquisition(70, _COUNTER), high=Acquisition(70, _COUNTER, dose=17),
    ),
    # Live STED, 10 times the light; the low image has a handful of grey levels.
    "mitochondria": Experiment(
        partial(mitochondria, tubes_per_um2=1.0, radius_nm=130, cristae=0.05),
        pixel_size_nm=20, photons=3.5, background=0.04, rayleigh_nm=500,
        low=Acquisition(65, _COUNTER), high=Acquisition(65, _COUNTER, dose=10),
    ),
    # Confocal against Airyscan: the resolution changes too.
    "synapses": Experiment(
        partial(synapses, cluster_nm=55, depth_nm=200, neuropil=0.5),
        pixel_size_nm=43, photons=14.0, background=0.03, rayleigh_nm=600,
        low=Acquisition(250, replace(_PMT, gain=11.0)), high=Acquisition(140, replace(_PMT, bits=16), dose=8),
    ),
    # One confocal frame against the mean of 50.
    "zebrafish": Experiment(
        zebrafish, pixel_size_nm=250, photons=11.0, background=0.02, rayleigh_nm=1500,
        low=Acquisition(650, _PMT), high=Acquisition(650, _PMT, frames=50),
    ),
}  # fmt: skip

NAMES = tuple(BENCHMARKS)
_SPLITS = {"train": (0, 1024), "val": (1, 64), "test": (2, 64)}  # seed, number of pairs


def make_pairs(name: str, n: int, *, size: int = 128, seed: int) -> Pairs:
    """Simulate ``n`` pairs.

    Parameters
    ----------
    name : str
        One of `NAMES`, or ``"mixture"``: all four worlds in turn with randomised optics, light and camera, where
        high is the mean of 200 frames through the same optics. That is what the generalist model trains on.
    n, size : int, >= 1
        Number of pairs, and side of an image in pixels.
    seed : int, >= 0
        Pair i depends on ``(name, seed, i)`` alone: a longer series begins with the shorter one.

    Raises
    ------
    ValueError
        For an unknown name, with the near ones; for n or size below 1 or a negative seed.
    """
    if seed < 0:
        raise ValueError(f"expected seed >= 0, got {seed}")
    return _draw(name, n, size, lambda i: (seed, i, 1))


def _draw(name: str, n: int, size: int, key: Callable[[int], tuple[int, ...]]) -> Pairs:
    """Pairs whose i-th depends on the name and ``key(i)``."""
    if name not in SETS:
        raise ValueError(f"unknown set {name!r}; expected one of {', '.join(SETS)}{did_you_mean(name, SETS)}")
    if n < 1 or size < 1:
        raise ValueError(f"expected n >= 1 and size >= 1, got n={n}, size={size}")
    low, high = np.empty((2, n, size, size), np.float32)
    pixel_size_nm = np.empty(n)
    for i in range(n):
        rng = np.random.default_rng([SETS.index(name), *key(i)])
        benchmark = randomised(NAMES[i % 4], rng) if name == "mixture" else BENCHMARKS[name]
        low[i], high[i] = benchmark.pair(rng, size)
        pixel_size_nm[i] = benchmark.pixel_size_nm
    return Pairs(low, high, pixel_size_nm)


def split(name: str, part: str) -> Pairs:
    """The fixed train, val or test pairs of a set: 1024, 64 and 64 of 128 x 128 pixels, of the mixture twice as many.

    The parts use seeds of their own, so no specimen is in two of them or in anything that `make_pairs` draws.
    ValueError for an unknown name or part.
    """
    if part not in _SPLITS:
        raise ValueError(f"unknown part {part!r}; expected one of {', '.join(_SPLITS)}")
    seed, n = _SPLITS[part]
    return _draw(name, 2 * n if name == "mixture" else n, 128, lambda i: (seed, i))


def randomised(name: str, rng: np.random.Generator) -> Experiment:
    """A benchmark's specimen under optics, light and a camera drawn at random.

    The ranges span the usual confocal, two-photon, STED and wide-field settings: 4 to 150 photons at the
    brightest structures, a PSF 1.8 to 9 pixels wide, stray light up to half the signal, and in six of ten draws
    strong read noise, half of these with blotches, and in six of ten a frame that was resampled after read-out.
    """
    base = BENCHMARKS[name]

    def between(lowest: float, highest: float) -> float:
        return float(np.exp(rng.uniform(np.log(lowest), np.log(highest))))

    # All are drawn, whichever is wanted, so that optics and camera follow from the same random numbers.
    shapes = {
        "microtubules": partial(
            microtubules,
            filaments_per_um2=1.1 * between(0.3, 1.5),
            persistence_nm=between(4e3, 4e4),
            alignment=rng.random(),
        ),
        "mitochondria": partial(mitochondria, tubes_per_um2=0.7 * between(0.3, 1.5), radius_nm=between(100, 350)),
        "synapses": partial(synapses, puncta_per_um2=0.9 * between(0.2, 3), neuropil=between(0.05, 2)),
        "zebrafish": partial(
            zebrafish, cell_nm=between(4e3, 12e3), haze=rng.uniform(0, 0.8), nuclei=rng.choice([0.0, 0.3, 3.0])
        ),
    }
    pixel_size_nm = base.pixel_size_nm * between(0.4, 2.0)
    photons = between(4, 150)
    gain = 255 / photons * rng.uniform(0.3, 1.0)
    strong = rng.random() < 0.6
    smoothing_px = rng.uniform(0.3, 1.2) if rng.random() < 0.6 else 0.0
    level = photons * rng.uniform(0, 0.15) if strong else float(rng.choice([0.0, 0.3]))  # of the noise, after smoothing
    camera = Camera(
        gain,
        offset=rng.uniform(0, 25) + 2 * gain * level,
        read_noise=level * (1 + 2 * smoothing_px),
        bits=8,
        smoothing_px=smoothing_px,
        blotch_noise=level * rng.uniform(0.2, 0.7) if strong and rng.random() < 0.5 else 0.0,
        blotch_px=rng.uniform(1.2, 3.0),
    )
    once = Acquisition(pixel_size_nm * between(1.8, 9), camera)
    return Experiment(
        shapes[name], pixel_size_nm, photons, background=rng.choice([0.0, 0.5]) * rng.random() + 0.02,
        rayleigh_nm=base.rayleigh_nm * between(0.7, 3), low=once, high=replace(once, frames=200),
    )  # fmt: skip
