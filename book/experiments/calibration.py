"""Draw the samples from which the shipped models are calibrated, calibrate them, and count how often that holds.

    DDPM_MICRO_DATA=folder OMP_NUM_THREADS=1 python book/experiments/calibration.py

restores the fields of every case below once, in eight antithetic samples, and keeps mean and spread under
``runs/calibration`` (an hour on one CPU core; a run that was stopped goes on). It writes the calibration and the
residual check into the sidecars of the shipped models, and for each model and case the share of the truth in the
intervals, with its standard error over fields, into ``book/results/calibration.json``, which chapter 7 shows.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
from common import RUNS, save
from scipy.special import ndtri

from ddpm_micro import datasets, residual, simulate
from ddpm_micro.calibrate import Calibration, calibrate, share_held
from ddpm_micro.checkpoint import SHIPPED, load_model, save_model
from ddpm_micro.choices import LEVELS
from ddpm_micro.files.atomic import atomic_write
from ddpm_micro.model import Model
from ddpm_micro.restore import restore
from ddpm_micro.simulate.benchmark import BENCHMARKS
from ddpm_micro.simulate.microscope import Camera

FOLDER = RUNS / "calibration"
SETTINGS = {"samples": 8, "antithetic": True, "sampler": "dpmpp_2m", "steps": 10}
FIELDS, SIZE = 128, 48  # fields to calibrate and to check on, and their side in pixels
SOUND, FITTED = (600, 77), 400  # fields of 64 pixels and their seed; so many are for the fit of the residual check
OTHERS = 12  # fields of each case that only checks
SEEDS = {"own": 19, "larger": 18, "other_specimen": 20, "other_camera": 21}  # no other script draws from them
MODELS = {**{name: name for name in simulate.NAMES}, "generalist": "mixture"}
OTHER_CAMERA = Camera(gain=2.0, offset=100.0, read_noise=1.5)  # read noise, which no photon counter has


def own(name: str) -> simulate.Pairs:
    """The fields on which a model is calibrated and checked."""
    return simulate.make_pairs(MODELS[name], FIELDS, size=SIZE, seed=SEEDS["own"])


def larger(name: str) -> simulate.Pairs:
    """As many others, a third wider: does what was fitted on small fields hold on larger ones?"""
    return simulate.make_pairs(MODELS[name], FIELDS, size=64, seed=SEEDS["larger"])


def other_specimen(name: str, fields: int = OTHERS, size: int = SIZE) -> simulate.Pairs:
    """The specimen of the next set, through its own microscope."""
    following = simulate.NAMES[(simulate.NAMES.index(name) + 1) % 4]
    return simulate.make_pairs(following, fields, size=size, seed=SEEDS["other_specimen"])


def other_camera(name: str, fields: int = OTHERS, size: int = SIZE) -> simulate.Pairs:
    """The model's own specimen in front of another camera."""
    benchmark = BENCHMARKS[name]
    changed = replace(benchmark, low=replace(benchmark.low, camera=OTHER_CAMERA))
    drawn = [changed.pair(np.random.default_rng([SEEDS["other_camera"], i]), size) for i in range(fields)]
    low, high = (np.stack(images) for images in zip(*drawn, strict=True))
    return simulate.Pairs(low, high, np.full(fields, benchmark.pixel_size_nm))


def real(name: str) -> simulate.Pairs:
    """The middle of four frames of each real scene."""
    scenes = datasets.load("fmd").scenes
    middle = np.s_[..., 220:292, 220:292]
    low = np.concatenate([scene.raw[middle] for scene in scenes]).astype(np.float32)
    high = np.concatenate([np.stack([scene.truth[middle]] * len(scene.raw)) for scene in scenes]).astype(np.float32)
    return simulate.Pairs(low, high, np.full(len(low), np.nan))


CASES = {
    **{(name, "own"): own for name in MODELS},
    ("microtubules", "larger"): larger,
    ("generalist", "real"): real,
    **{(name, case.__name__): case for case in (other_camera, other_specimen) for name in simulate.NAMES},
}


def restored(name: str, case: str) -> dict[str, np.ndarray]:
    """``low``, ``high``, ``mean`` and ``std`` (n, H, W) in grey levels and ``scale`` (n, 1, 1) of a case's fields."""
    model = load_model(name)
    path = FOLDER / f"{name}_{case}_{model.fingerprint()[:8]}.npz"  # other weights draw anew
    if not path.is_file():
        pairs = CASES[name, case](name)
        drawn = [restore(model, low, seed=i, progress=False, **SETTINGS) for i, low in enumerate(pairs.low)]
        scale = np.array([model.percentiles.fit(low).scale for low in pairs.low])[:, None, None]
        images = {"mean": np.stack([one.mean for one in drawn]), "std": np.stack([one.std for one in drawn])}
        FOLDER.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez(file, low=pairs.low, high=pairs.high, scale=scale, **images)
    with np.load(path) as file:
        return dict(file)


def answered(name: str, fields: int, seed: int) -> dict[str, np.ndarray]:
    """``low``, ``high`` and ``mean`` (n, H, W) in grey levels, where the mean is the network's one answer.

    It is nearly the mean of the samples and takes an eightieth of the time.
    """
    model = load_model(name)
    path = FOLDER / f"{name}_answered_{fields}_{seed}_{model.fingerprint()[:8]}.npz"
    if not path.is_file():
        pairs = simulate.make_pairs(MODELS[name], fields, size=64, seed=seed)
        FOLDER.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez(file, low=pairs.low, high=pairs.high, mean=model.posterior_mean(pairs.low))
    with np.load(path) as file:
        return dict(file)


def network_values(model: Model, low: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Stacks (n, H, W) on the scale of ``low``, plane by plane."""
    scalings = [model.percentiles.fit(plane) for plane in low]
    return [np.stack([one.apply(plane) for one, plane in zip(scalings, stack)]) for stack in (low, *others)]


def in_network_values(fields: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Truth, mean and spread as `calibrate` takes them."""
    return [(fields[key] / fields["scale"]).reshape(len(fields["scale"]), -1) for key in ("high", "mean", "std")]


def calibrated(name: str) -> Calibration:
    """Fit a shipped model's calibration and residual check, and write them into its sidecar."""
    fields, model = restored(name, "own"), load_model(name)
    digest = hashlib.sha256(b"".join(a.tobytes() + b.tobytes() for a, b in zip(fields["low"], fields["high"])))
    model.calibration = calibrate(
        *in_network_values(fields), settings=SETTINGS,
        weights_sha256=model.fingerprint(), data_sha256=digest.hexdigest(),
        data=f'simulate.make_pairs("{MODELS[name]}", {FIELDS}, size={SIZE}, seed={SEEDS["own"]})',
    )  # fmt: skip
    sound = answered(name, *SOUND)
    fitted = (sound[key][:FITTED] for key in ("low", "mean", "high"))
    model.residual_check = residual.fit(zip(*network_values(model, *fitted)))
    save_model(model, SHIPPED / f"{name}.safetensors")
    return model.calibration


def main() -> None:
    records = []
    for name in MODELS:
        found = calibrated(name)
        for case in (case for model, case in CASES if model == name):
            truth, mean, std = in_network_values(restored(name, case))
            record = {"model": name, "case": case, "fields": len(truth), "before": {}, "after": {}}
            for level in LEVELS if case != "own" else ():
                reaches = {"before": ndtri(0.5 + level / 200) * std}
                reaches["after"] = found.factor(level) * found.expected_error(std)
                for when, reach in reaches.items():
                    record[when][str(level)] = share_held(truth, mean, reach)
            if case == "own":  # a quarter of these fields was held out
                record |= {"fields": found.fields["check"], "before": found.before, "after": found.after}
            records.append(record)
            print(name, case, record["before"]["90"], record["after"]["90"], flush=True)
    save("calibration", records)


if __name__ == "__main__":
    main()
