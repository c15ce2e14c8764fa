"""How fast are training and restoring on this machine? Beside diffusers, and beside what the machine could do at best.

    OMP_NUM_THREADS=2 python book/experiments/speed.py [--tiny]

writes this device's part of ``book/results/speed.json``, which chapter 10 shows: under ten minutes on two CPU cores,
under eight on a GPU. Ways that are compared take turns, and the fastest turn of each counts, since whatever else the
machine does slows it only at times. ``--tiny`` is for the test: small sizes, printed and not written.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from common import RESULTS, load, save

from ddpm_micro import checkpoint, simulate
from ddpm_micro.capture import WARM_UP, Captured
from ddpm_micro.data import PairedPatches
from ddpm_micro.device import autocast, choose_device
from ddpm_micro.model import Model
from ddpm_micro.objectives import objective_of
from ddpm_micro.restore import restore
from ddpm_micro.run import Run
from ddpm_micro.schedule import cosine_schedule
from ddpm_micro.train import TrainConfig, draw_batch, fit, training_step

DEVICE = choose_device()[0]
ON_GPU = DEVICE.type == "cuda"
PRECISIONS = {"float32": "no", "TF32": "no", "bf16": "bf16"} if ON_GPU else {"float32": "no", "bf16": "bf16"}
WAYS = {"mean of 15": {"samples": 15}, "four pairs": {"samples": 8, "antithetic": True}}
WAYS |= {"one pair": {"samples": 2, "antithetic": True}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="small sizes: does the script run?")
    tiny = parser.parse_args().tiny
    batches, side, rounds = ((2,), 32, 1) if tiny else ((8, 32, 128, 512), 512, 5) if ON_GPU else ((8, 32), 128, 3)
    parts: dict[str, Callable[[], Any]] = {
        "machine": machine,
        "limits": partial(limits, 256 if tiny else 8192 if ON_GPU else 2048),
        "training": lambda: [record for batch in batches for record in training(batch, rounds, tiny)],
        "restoring": partial(restoring, side, tiny),
    }
    if ON_GPU and not tiny:
        parts["specialist"] = specialist
    found = load("speed") if (RESULTS / "speed.json").is_file() else {}
    found[DEVICE.type] = {}
    for name, part in parts.items():
        found[DEVICE.type][name] = part()
        print(name, json.dumps(found[DEVICE.type][name], indent=1), flush=True)
        if not tiny:  # after each part: a run that is cut off leaves what it has
            save("speed", found)


def machine() -> dict[str, str | int]:
    name = torch.cuda.get_device_name() if ON_GPU else platform.machine()
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "date": date.today().isoformat(),
    }


def limits(side: int) -> dict[str, float]:
    """What the machine does at best: products of matrices, and copies in memory."""
    found = {}
    for name, dtype in {"float32": torch.float32, "bf16": torch.bfloat16}.items():
        matrix = torch.ones(side, side, dtype=dtype, device=DEVICE)
        seconds = fastest({name: lambda: matrix @ matrix}, rounds=5, repeats=3)[name]  # noqa: B023 (called at once)
        found[f"matmul_{name}_tflops"] = float(f"{2 * side**3 / seconds / 1e12:.3g}")
    numbers = torch.ones(2**28 if ON_GPU else 2**24, device=DEVICE)
    seconds = fastest({"copy": numbers.clone}, rounds=5, repeats=3)["copy"]
    return found | {"memory_gb_per_second": round(2 * numbers.nbytes / seconds / 1e9, 1)}


def training(batch: int, rounds: int, tiny: bool) -> list[dict[str, Any]]:
    """Steps a second of this package and of diffusers, on patches of 64 pixels."""
    pairs = simulate.make_pairs("zebrafish", 4 if tiny else 32, size=128, seed=0)
    patches = PairedPatches(pairs.low, pairs.high, 16 if tiny else 64).to(DEVICE)
    records = []
    for name, precision in PRECISIONS.items():
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "TF32"
        steps = {"plain": ours(patches, batch, precision), "diffusers": theirs(patches, batch, precision)}
        if ON_GPU:
            steps["captured"] = ours(patches, batch, precision, captured=True)
        repeats = 50 if ON_GPU else 1
        for way, seconds in fastest(steps, rounds, repeats, warm_up=WARM_UP + 2 if ON_GPU else 1).items():
            record = {"batch": batch, "precision": name, "how": way, "steps_per_second": round(1 / seconds, 2)}
            records.append(record | {"patches_per_second": round(batch / seconds, 1), "mb": memory(steps[way])})
    return records


def ours(patches: PairedPatches, batch: int, precision: str, captured: bool = False) -> Callable[[], Any]:
    """A step as `fit` makes it, its batch included."""
    config = TrainConfig(batch_size=batch, patch=patches.patch)
    run = Run(Model(config.unet, cosine_schedule()), accelerator(precision))
    run.set_rates(1e-3, 0.99)
    objective = objective_of(run.model)
    step = partial(training_step, run, objective)
    step = Captured(step) if captured else step

    def one() -> None:
        step(*draw_batch(run, config, objective, patches))
        run.step += 1

    return one


def theirs(patches: PairedPatches, batch: int, precision: str) -> Callable[[], Any]:
    """The U-Net of diffusers with about as many weights, under accelerate, as their examples train it."""
    from diffusers import UNet2DModel

    unet = UNet2DModel(
        in_channels=2, out_channels=1, block_out_channels=(24, 48, 72), layers_per_block=1, norm_num_groups=8,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    accelerated = accelerator(precision)
    unet, optimizer = accelerated.prepare(unet, torch.optim.AdamW(unet.parameters(), lr=1e-4))
    step, generator = 0, torch.Generator(DEVICE)

    def one() -> None:
        nonlocal step
        x0, cond = patches.batch(step, batch, seed=0)
        t = torch.randint(200, (batch,), generator=generator, device=DEVICE)
        noisy = torch.cat([x0 + torch.randn_like(x0), cond], dim=1)
        loss = (unet(noisy, t).sample - x0).square().mean()
        accelerated.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        step += 1

    return one


def accelerator(precision: str) -> Accelerator:
    AcceleratorState._reset_state()  # else all would compute in the precision of the first
    return Accelerator(mixed_precision=precision)


def restoring(side: int, tiny: bool) -> list[dict[str, Any]]:
    """Megapixels a second of one square image, with a shipped specialist; the article's recipe beside it."""
    model = checkpoint.load_model("zebrafish")
    low = np.random.default_rng(0).poisson(30, (side, side)).astype(np.float32)
    steps = 2 if tiny else 200
    few = {"steps": 2} if tiny else {}
    ways = {name: partial(restore, model, low, progress=False, **options, **few) for name, options in WAYS.items()}
    ways["one call"] = partial(model.posterior_mean, low)
    article = partial(restore, model, low, samples=1, sampler="ddpm", steps=steps, progress=False)
    records = []
    for name, precision in {"float32": "no"}.items() if tiny else {"float32": "no", "bf16": "bf16"}.items():
        with autocast(precision):
            seconds = fastest(ways, rounds=1 if tiny else 2)
            if name == "float32":  # 15 samples, of which each takes what one takes
                seconds["article: 15 of 200 steps"] = 15 * fastest({"": article}, rounds=1, warm_up=0)[""]
        for way, took in seconds.items():
            records.append(
                {"way": way, "precision": name, "megapixels_per_second": float(f"{side**2 / 1e6 / took:.3g}")}
            )
    return records


def specialist() -> dict[str, float]:
    """A whole training as the shipped specialists had it, start and validation included."""
    parts = (simulate.split("zebrafish", part) for part in ("train", "val"))
    patches = [PairedPatches(pairs.low, pairs.high, TrainConfig.patch) for pairs in parts]
    found = {}
    for seed in range(3):
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            model = fit(TrainConfig(steps=6000, seed=seed), *patches, folder, progress=False)
        mae = min(record["mae"] for record in model.info["validation"])
        found[f"seed {seed}"] = {"seconds": round(time.perf_counter() - begun, 1), "val_mae": mae}
    return found


def fastest(ways: dict[str, Callable], rounds: int, repeats: int = 1, warm_up: int = 1) -> dict[str, float]:
    """Seconds of one call of each, the fastest of some rounds in which they take turns."""
    best = dict.fromkeys(ways, np.inf)
    for way in ways.values():
        for _ in range(warm_up):
            way()
    for _ in range(rounds):
        for name, way in ways.items():
            wait()
            begun = time.perf_counter()
            for _ in range(repeats):
                way()
            wait()
            best[name] = min(best[name], (time.perf_counter() - begun) / repeats)
    return best


def memory(step: Callable) -> float | None:
    """MB that one more step takes at its peak, on a GPU."""
    if not ON_GPU:
        return None
    torch.cuda.reset_peak_memory_stats()
    step()
    wait()
    return round(torch.cuda.max_memory_allocated() / 1e6, 1)


def wait() -> None:
    if ON_GPU:
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
