"""How often does the residual check find what is wrong? Rates of alarms for each kind of failure, model by model.

    DDPM_MICRO_DATA=folder OMP_NUM_THREADS=1 python book/experiments/residual.py

asks the shipped models once for each field (ten minutes on a CPU core) and writes ``book/results/residual.json``, which
chapter 9 shows: a list of {model, case, fields, alarms}, where alarms is the share of the fields. In the sound cases
the alarms are false; the others are failures of the result, or frames that the model does not know.
"""

from __future__ import annotations

import io

import numpy as np
from calibration import FITTED, MODELS, SOUND, answered, network_values, other_camera, other_specimen, restored
from common import save
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, zoom

from ddpm_micro import datasets, simulate
from ddpm_micro.checkpoint import load_model
from ddpm_micro.model import Model

FIELDS = 40  # of every case in which the network is asked anew
Images = np.ndarray  # (n, H, W), grey levels


def blurred(stack: Images, sd: float) -> Images:
    return gaussian_filter(stack, (0, sd, sd))


def spots(stack: Images, rng: np.random.Generator) -> Images:
    """Five spots in each field, half as bright as its brightest structure."""
    points = np.zeros(stack.shape)
    for field in points:
        field[tuple(rng.integers(6, 58, (2, 5)))] = 1
    height = np.ptp(blurred(stack, 1.5), axis=(1, 2))[:, None, None] / 2
    return blurred(points, 1.5) * 2 * np.pi * 1.5**2 * height


def without_brightest(stack: Images) -> Images:
    """The surroundings of the brightest structure, a disc of 17 pixels, as dark as the middle of the field."""
    out, (y, x) = stack.copy(), np.mgrid[: stack.shape[1], : stack.shape[2]]
    for field, smooth in zip(out, blurred(stack, 3), strict=True):
        top, left = np.unravel_index(smooth.argmax(), smooth.shape)
        field[(y - top) ** 2 + (x - left) ** 2 <= 8**2] = np.median(field)
    return out


def wrong_results(mean: Images) -> dict[str, Images]:
    """What is made of sound results, by the name of the failure."""
    rng = np.random.default_rng(0)
    middle = np.median(mean, axis=(1, 2), keepdims=True)
    return {
        "result smoothed over 1.5 px": blurred(mean, 1.5),
        "brightest structure removed": without_brightest(mean),
        "five spots invented": mean + spots(mean, rng),
        "a fifth of another field added": mean + 0.2 * (np.roll(mean, 1, axis=0) - middle),
        "result shifted by a pixel": np.roll(mean, 1, axis=2),
        "contrast of the result a tenth lower": middle + 0.9 * (mean - middle),
    }


def unknown_frames(name: str, low: Images, high: Images) -> dict[str, Images]:
    """Frames that a model does not know, by name, made from those it knows."""
    rng = np.random.default_rng(0)
    clumped = blurred(low - high, 1.2)
    clumped *= (low - high).std() / clumped.std()
    top = low.max(axis=(1, 2), keepdims=True)
    cases = {
        "noise in clumps": high + clumped,
        "enlarged to twice the size": np.stack([zoom(field[:32, :32], 2, order=1) for field in low]),
        "compressed (JPEG, quality 50)": np.stack([jpeg(field) for field in low]),
        "saturated": np.minimum(low, np.quantile(high, 0.8, axis=(1, 2), keepdims=True)),
        "one pixel in 200 hot": np.where(rng.random(low.shape) < 1 / 200, 2 * top, low),
        "letters": np.stack([letters(rng) for _ in low]),
        "no specimen": rng.poisson(4, low.shape).astype(float),
    }
    if name != "generalist":  # which has met them all
        cases["another specimen"] = other_specimen(name, FIELDS, 64).low
        cases["another camera"] = other_camera(name, FIELDS, 64).low
    return cases


def jpeg(field: np.ndarray) -> np.ndarray:
    lowest, span = field.min(), np.ptp(field)
    file = io.BytesIO()
    Image.fromarray(np.uint8(255 * (field - lowest) / span)).save(file, "JPEG", quality=50)
    return lowest + span * np.asarray(Image.open(file), float) / 255


def letters(rng: np.random.Generator) -> np.ndarray:
    page = Image.new("L", (64, 64), 20)
    for line in range(4):
        ImageDraw.Draw(page).text((4, 2 + 15 * line), "NOT A CELL", fill=200)
    clean = gaussian_filter(np.asarray(page, float), 0.8)
    return clean + 1.5 * np.sqrt(clean) * rng.normal(size=clean.shape)


def alarms(model: Model, low: Images, mean: Images) -> float:
    """Share of the fields for which the check gives an alarm."""
    check = model.residual_check
    return float(
        np.mean([check.number(*planes)[0] > check.threshold for planes in zip(*network_values(model, low, mean))])
    )


def main() -> None:
    records = []

    def note(name: str, case: str, low: Images, mean: Images) -> None:
        records.append({"model": name, "case": case, "fields": len(low), "alarms": alarms(load_model(name), low, mean)})
        print(records[-1], flush=True)

    for name in MODELS:
        model = load_model(name)
        if not model.residual_check.applies:
            continue
        sound = {key: stack[FITTED:].astype(float) for key, stack in answered(name, *SOUND).items()}
        note(name, "sound", sound["low"], sound["mean"])
        own = simulate.split(MODELS[name], "test").low[:FIELDS]
        note(name, "sound, 128 px", own, model.posterior_mean(own))
        for case, mean in wrong_results(sound["mean"]).items():
            note(name, case, sound["low"], mean)
        for case, low in unknown_frames(name, sound["low"][:FIELDS], sound["high"][:FIELDS]).items():
            note(name, case, low, model.posterior_mean(low))
    several = restored("microtubules", "larger")
    note("microtubules", "sound, mean of eight samples", several["low"], several["mean"])
    real = np.concatenate([scene.raw[:, 192:320, 192:320] for scene in datasets.load("fmd").scenes]).astype(float)
    note("generalist", "real scenes", real, load_model("generalist").posterior_mean(real))
    save("residual", records)


if __name__ == "__main__":
    main()
