"""Real scenes against the classics in the form in which microscopists should use them: noise made constant, then BM3D.

    DDPM_MICRO_DATA=folder OMP_NUM_THREADS=1 python book/experiments/bm3d.py [FRAMES]

takes the first so many frames of each of the six scenes (one if nothing is said, four at most), writes
``book/results/bm3d.json`` and renews a table in README.md. A frame takes about a minute and a half on one CPU core.
What the rivals made of it is kept, so that a new generalist is compared in seconds.

A camera's noise grows with the light: its variance is ``gain * mean + constant``. The generalised Anscombe transform
makes it 1 everywhere; BM3D or non-local means then take out noise of one known strength, and the exact unbiased inverse
(Mäkitalo and Foi 2013, doi 10.1109/TIP.2012.2202675) leads back. Each filter comes in up to three forms:

- blind: gain and constant are estimated from the noisy frame itself.
- in hand: they are fitted with the truth, and the filter's strength is chosen with it on the middle of the frame.
- own spectrum: the same, and BM3D is told the power spectrum of this frame's noise, which nobody has.

Results are rounded to 8 bit, as the data set's article does, and PSNR has the peak 255.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from block_matching import bm3d
from common import RESULTS, load, markdown, processes, renew_table, save
from fmd import SCENES, psnr_fitted
from skimage.restoration import denoise_nl_means

from ddpm_micro import checkpoint, datasets, metrics

MIDDLE = np.s_[176:336, 176:336]  # where a strength is chosen
STRENGTHS = {
    "nlm": (0.4, 0.6, 0.8, 1.0, 1.3, 1.7),
    "bm3d": (0.8, 1.0, 1.3, 1.7, 2.2),
}
BLIND = {"nlm": 0.8, "bm3d": 1.0}  # of the noise's standard deviation, which is 1 after the transform
COLUMNS = {
    "raw": "raw",
    "nlm_blind": "non-local means, blind",
    "nlm_in_hand": "the same, in hand",
    "bm3d_blind": "BM3D, blind",
    "bm3d_in_hand": "BM3D, in hand",
    "bm3d_spectrum": "BM3D, own spectrum",
    "one_call": "one call",
}
Line = tuple[float, float]  # variance of the noise = gain * mean + constant


def stabilise(image: np.ndarray, line: Line) -> np.ndarray:
    """Generalised Anscombe transform: noise of variance gain * mean + constant becomes noise of variance 1."""
    gain, constant = line
    return 2 / gain * np.sqrt(np.maximum(gain * image + 0.375 * gain**2 + constant, 0))


def unbiased_inverse(stable: np.ndarray, line: Line) -> np.ndarray:
    """The mean whose stabilised noisy values average to ``stable``, in Mäkitalo and Foi's closed form."""
    gain, constant = line
    d = np.maximum(stable, 2 * np.sqrt(0.375))
    root = np.sqrt(1.5)
    photons = d**2 / 4 + root / (4 * d) - 11 / (8 * d**2) + 5 * root / (8 * d**3) - 1 / 8
    return gain * photons - constant / gain


def blind_line(frame: np.ndarray) -> Line:
    """Gain and constant from one frame: the scatter of 2 x 2 differences against the mean around them."""
    height, width = (side // 2 for side in frame.shape)
    a, b, c, d = (frame[y::2, x::2][:height, :width] for y in (0, 1) for x in (0, 1))
    return fitted_line((a + b + c + d) / 4, (a - b - c + d) / 2)


def binned(light: np.ndarray, noise: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the light and variance of the noise in bins of equally many pixels, from dark to bright; each (bins,)."""
    order = np.array_split(np.argsort(light, axis=None), bins)
    means, variances = (np.array([f(x.flat[part]) for part in order]) for f, x in ((np.mean, light), (np.var, noise)))
    return means, variances


def fitted_line(mean: np.ndarray, noise: np.ndarray, bins: int = 24) -> Line:
    """Least squares through the variances of the noise in bins of equally many pixels."""
    means, variances = binned(mean, noise, bins)
    # A variance is known to a share of itself. The sum keeps dark pixels, clipped at the camera's floor, from ruling.
    gain, constant = np.polyfit(means, variances, 1, w=1 / (variances + variances.mean()))
    gain = max(gain, 0.02)
    return float(gain), float(max(constant, 0.05 - gain * means[0]))  # the darkest pixels keep a positive variance


def nlm(stable: np.ndarray, strength: float) -> np.ndarray:
    """Non-local means with the noise's standard deviation, 1, and patches as in scikit-image's example."""
    return denoise_nl_means(stable, patch_size=5, patch_distance=9, h=strength, sigma=1.0, fast_mode=True)


def spectrum_of(noise: np.ndarray, reach: int = 6) -> np.ndarray:
    """Power at each frequency of `numpy.fft.fft2`; pixels more than ``reach`` apart are taken for independent."""
    covariance = np.fft.ifft2(np.abs(np.fft.fft2(noise - noise.mean())) ** 2).real / noise.size
    fades = [np.maximum(1 - np.minimum(k, n - k) / (reach + 1), 0) for n in noise.shape for k in [np.arange(n)]]
    power = np.fft.fft2(covariance * np.outer(*fades)).real
    return np.maximum(power, 1e-3 * power.max())


def rivals(scene: datasets.Scene, draw: int) -> dict[str, dict[str, float]]:
    """Each filter in each form on one frame: PSNR, PSNR with brightness fitted, and strength."""
    frame, truth = scene.raw[draw].astype(np.float64), scene.truth.astype(np.float64)
    out = {"raw": scores(truth, frame)}
    gain, offset = np.polyfit(truth.ravel(), frame.ravel(), 1)
    bright = gain * truth + offset  # the truth as bright as this frame
    lines = {"blind": blind_line(frame), "in_hand": fitted_line(bright, frame - bright)}
    noise = stabilise(frame, lines["in_hand"]) - stabilise(bright, lines["in_hand"])

    def coloured(stable: np.ndarray, strength: float) -> np.ndarray:
        part = noise if stable.shape == noise.shape else noise[MIDDLE]
        return bm3d(stable, strength * noise.std(), spectrum_of(part))

    def restored(method: Callable, line: Line, strength: float, where: object = np.s_[:, :]) -> np.ndarray:
        return unbiased_inverse(method(stabilise(frame, line)[where], strength), line)

    for name, method in {"nlm": nlm, "bm3d": bm3d}.items():
        image = restored(method, lines["blind"], BLIND[name])
        out[f"{name}_blind"] = scores(truth, image) | {"strength": BLIND[name]}
    for name, method in {"nlm_in_hand": nlm, "bm3d_in_hand": bm3d, "bm3d_spectrum": coloured}.items():
        best, least = None, np.inf
        for strength in STRENGTHS[name.split("_")[0]]:
            error = np.mean((restored(method, lines["in_hand"], strength, MIDDLE) - truth[MIDDLE]) ** 2)
            if error > least:  # it has one minimum
                break
            best, least = strength, error
        image = restored(method, lines["in_hand"], best)
        out[name] = scores(truth, image) | {"strength": best}
    return out


def scores(truth: np.ndarray, image: np.ndarray) -> dict[str, float]:
    """PSNR in dB of the image in 8 bit, as it is and with gain and offset fitted to the truth."""
    image = np.clip(np.rint(image), 0, 255)
    values = {
        "psnr": metrics.psnr(truth, image, data_range=255),
        "psnr_fitted": psnr_fitted(truth, metrics.pearson(truth, image)),
    }
    return {name: round(value, 2) for name, value in values.items()}


def measure(scene: datasets.Scene, draw: int, kept: dict | None) -> dict:
    """The record of one frame; the rivals' part is taken over if it is there."""
    methods = {k: v for k, v in kept["methods"].items() if k != "one_call"} if kept else rivals(scene, draw)
    estimate = checkpoint.load_model("generalist").posterior_mean(scene.raw[draw])
    methods["one_call"] = scores(scene.truth.astype(np.float64), estimate)
    return {"scene": scene.name, "draw": scene.draws[draw], "methods": methods}


def table(records: list[dict]) -> str:
    """PSNR in dB with brightness fitted, means over the frames of a scene, then the two means over all frames."""

    def mean(key: str, method: str, scene: str | None = None) -> str:
        chosen = [r["methods"][method][key] for r in records if scene in (None, r["scene"])]
        return f"{np.mean(chosen):.2f}"

    rows = [[title, *(mean("psnr_fitted", m, scene) for m in COLUMNS)] for scene, title in SCENES.items()]
    rows.append([f"**mean of {len(records)} frames, fitted**", *(mean("psnr_fitted", m) for m in COLUMNS)])
    rows.append(["**mean, as it is**", *(mean("psnr", m) for m in COLUMNS)])
    return markdown(["", *COLUMNS.values()], rows)


def main(frames: int = 1) -> None:
    scenes = [scene for scene in datasets.load("fmd").scenes if scene.name in SCENES]
    known = load("bm3d") if (RESULTS / "bm3d.json").is_file() else []
    records = {(record["scene"], record["draw"]): record for record in known}
    tasks = [(scene, draw) for draw in range(frames) for scene in scenes]
    with processes() as pool:
        done = [pool.submit(measure, s, draw, records.get((s.name, s.draws[draw]))) for s, draw in tasks]
        for (scene, draw), future in zip(tasks, done, strict=True):
            records[scene.name, scene.draws[draw]] = future.result()
            save("bm3d", list(records.values()))  # a run that is stopped goes on from here
    renew_table("bm3d", table(list(records.values())))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
