"""How fast are training and restoring, beside other packages and beside what the machine could do at best?

    OMP_NUM_THREADS=2 python book/experiments/speed.py [--tiny] [--only PART]

writes this device's part of ``book/results/speed.json``, which chapter 10 shows: under ten minutes on two CPU cores,
under eight on a GPU. Ways that are compared take turns, and the fastest turn of each counts, since whatever else the
machine does slows it only at times. ``--tiny`` is for the test: every part in small sizes, also what only a GPU does,
printed and not written. The rivals are diffusers and, where it is installed, denoising-diffusion-pytorch.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from common import RESULTS, load, psnr, save
from speed_memory import peak_of_restoring
from timing import fastest, machine, short, wait
from torch.utils.flop_counter import FlopCounterMode

from ddpm_micro import checkpoint, simulate
from ddpm_micro.capture import WARM_UP, Captured
from ddpm_micro.data import PairedPatches
from ddpm_micro.device import autocast, choose_device, choose_precision
from ddpm_micro.model import Model
from ddpm_micro.objectives import objective_of
from ddpm_micro.restore import restore
from ddpm_micro.run import Run
from ddpm_micro.samplers import sample_dpmpp_2m
from ddpm_micro.schedule import cosine_schedule
from ddpm_micro.train import TrainConfig, draw_batch, fit, training_step
from ddpm_micro.unet import UNet, UNetConfig

DEVICE = choose_device()[0]
ON_GPU = DEVICE.type == "cuda"
BF16 = choose_precision(DEVICE)[0] == "bf16"  # a CPU without units for it takes a hundred times as long
WAYS = {"mean of 15": {"samples": 15}, "four pairs": {"samples": 8, "antithetic": True}}
WAYS |= {"one pair": {"samples": 2, "antithetic": True}}
Records = list[dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="small sizes: does the script run?")
    parser.add_argument("--only", metavar="PART", help="measure this part anew and keep the others")
    arguments = parser.parse_args()
    tiny = arguments.tiny
    parts: dict[str, Callable[[bool], Any]] = {
        "machine": lambda tiny: machine(), "limits": limits, "forward": forward, "training": training,
        "restoring": restoring, "precision": precision, "sampling": sampling, "memory": peak_of_restoring,
    }  # fmt: skip
    if not (BF16 or tiny):
        del parts["precision"]
    if ON_GPU or tiny:
        parts |= {"paper": paper, "specialist": specialist, "batch_and_rate": batch_and_rate}  # the longest last
    found = load("speed") if (RESULTS / "speed.json").is_file() else {}
    here = found.setdefault(DEVICE.type, {})
    for name, part in parts.items():
        if arguments.only in (None, name):
            begun = time.perf_counter()
            here[name] = part(tiny)
            took = time.perf_counter() - begun
            print(f"{name}, {took:.0f} s", json.dumps(here[name], indent=1), flush=True)
            if not tiny:  # after each part: a run that is cut off leaves what it has
                save("speed", found)


def precisions(tiny: bool) -> dict[str, str]:
    """What is worth measuring on this device: its name here, and in accelerate's words."""
    tf32 = {"TF32": "no"} if ON_GPU else {}
    return {"float32": "no"} | tf32 | ({"bf16": "bf16"} if BF16 or tiny else {})


def limits(tiny: bool) -> dict[str, float]:
    """What the machine does at best: products of matrices, and copies in memory."""
    side, found = 256 if tiny else 8192 if ON_GPU else 2048, {}
    for name in precisions(tiny).keys() - {"TF32"}:
        dtype = {"float32": torch.float32, "bf16": torch.bfloat16}[name]
        matrix = torch.ones(side, side, dtype=dtype, device=DEVICE)
        seconds = fastest({name: lambda: matrix @ matrix}, rounds=5)[name]  # noqa: B023 (called at once)
        found[f"matmul_{name}_tflops"] = short(2 * side**3 / seconds / 1e12)
    numbers = torch.ones(2**28 if ON_GPU else 2**24, device=DEVICE)
    seconds = fastest({"copy": numbers.clone}, rounds=5)["copy"]
    return found | {"memory_gb_per_second": short(2 * numbers.nbytes / seconds / 1e9)}


def forward(tiny: bool) -> Records:
    """Calls of the micro network beside products of matrices: TFLOP/s, and the share of the best that this is."""
    batch, side = (1, 32) if tiny else (64, 128) if ON_GPU else (8, 64)
    unet = UNet(UNetConfig.micro()).to(DEVICE, memory_format=torch.channels_last)
    images, level = torch.zeros(batch, 1, side, side, device=DEVICE), torch.zeros(batch, device=DEVICE)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        unet(images, level, images)
    best, records = limits(tiny), []
    for name, bits in precisions(tiny).items():
        if name == "TF32":
            continue
        with torch.no_grad(), autocast(bits):
            seconds = fastest({name: lambda: unet(images, level, images)}, 2 if tiny else 10)[name]
        tflops = counter.get_total_flops() / seconds / 1e12
        share = round(tflops / best[f"matmul_{name}_tflops"], 2)
        records.append({"precision": name, "batch": batch, "side": side, "tflops": short(tflops), "of_matmul": share})
    return records


def training(tiny: bool) -> Records:
    """Steps a second of this package, plain and as one graph, and of the rivals, on patches of 64 pixels."""
    rounds, batches = (1, (2,)) if tiny else (3, (8, 32, 128, 512)) if ON_GPU else (8, (8, 32))
    patches, records = training_patches(tiny), []
    for batch in batches:
        for name, bits in precisions(tiny).items():
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "TF32"
            steps = {"plain": ours(patches, batch, bits), "diffusers": theirs(diffusers_unet(), patches, batch, bits)}
            if find_spec("denoising_diffusion_pytorch"):
                steps["lucidrains"] = theirs(lucidrains_unet(), patches, batch, bits)
            if ON_GPU or tiny:  # on a CPU it warns and takes the step as it is
                steps["captured"] = ours(patches, batch, bits, captured=True)
            repeats, warm_up = (20, WARM_UP + 2) if ON_GPU else (1, 1)
            for how, seconds in fastest(steps, rounds, repeats, warm_up).items():
                record = {"batch": batch, "precision": name, "how": how, "steps_per_second": short(1 / seconds)}
                record |= {"patches_per_second": short(batch / seconds)}
                records.append(record | ({"mb": gpu_megabytes(steps[how])} if ON_GPU else {}))
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return records


def training_patches(tiny: bool) -> PairedPatches:
    pairs = simulate.make_pairs("zebrafish", 4 if tiny else 32, size=128, seed=0)
    return PairedPatches(pairs.low, pairs.high, 16 if tiny else 64).to(DEVICE)


def ours(patches: PairedPatches, batch: int, bits: str, captured: bool = False) -> Callable[[], Any]:
    """A step as `fit` makes it, its batch included."""
    config = TrainConfig(batch_size=batch, patch=patches.patch)
    run = Run(Model(config.unet, cosine_schedule()), accelerator(bits))
    run.set_rates(1e-3, 0.99)
    objective = objective_of(run.model)
    step = partial(training_step, run, objective)
    step = Captured(step) if captured else step

    def one() -> None:
        step(*draw_batch(run, config, objective, patches))
        run.step += 1

    return one


def theirs(unet: torch.nn.Module, patches: PairedPatches, batch: int, bits: str) -> Callable[[], Any]:
    """Another network under accelerate, as the examples of diffusers train it, its batch included."""
    accelerated = accelerator(bits)
    unet, optimizer = accelerated.prepare(unet, torch.optim.AdamW(unet.parameters(), lr=1e-4))
    numbers, generator = iter(range(10**9)), torch.Generator(DEVICE)

    def one() -> None:
        x0, cond = patches.batch(next(numbers), batch, seed=0)
        t = torch.randint(200, (batch,), generator=generator, device=DEVICE)
        output = unet(torch.cat([x0 + torch.randn_like(x0), cond], dim=1), t)
        loss = (getattr(output, "sample", output) - x0).square().mean()
        accelerated.backward(loss)
        optimizer.step()
        optimizer.zero_grad()

    return one


def diffusers_unet() -> torch.nn.Module:
    """The U-Net of diffusers with about as many weights as the micro network."""
    from diffusers import UNet2DModel

    return UNet2DModel(
        in_channels=2, out_channels=1, block_out_channels=(24, 48, 72), layers_per_block=1, norm_num_groups=8,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    )  # fmt: skip


def lucidrains_unet() -> torch.nn.Module:
    """The U-Net of denoising-diffusion-pytorch of about as many FLOPs."""
    from denoising_diffusion_pytorch import Unet

    class Single(Unet):
        def __call__(self, noisy: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return super().__call__(noisy, t)[:, :1]

    return Single(dim=24, dim_mults=(1, 2, 3), channels=2, full_attn=(False, False, True))


def accelerator(bits: str) -> Accelerator:
    AcceleratorState._reset_state()  # else all would compute in the precision of the first
    return Accelerator(mixed_precision=bits)


def restoring(tiny: bool) -> Records:
    """Megapixels a second of one square image, with a shipped specialist; the article's recipe beside it."""
    side, few = (32, {"steps": 2}) if tiny else (1024 if ON_GPU else 128, {})
    model, low = checkpoint.load_model("zebrafish"), np.random.default_rng(0).poisson(30, (side, side))
    ways = {name: partial(restore, model, low, progress=False, **options, **few) for name, options in WAYS.items()}
    ways["one call"] = partial(model.posterior_mean, low)
    article = partial(restore, model, low, samples=1, sampler="ddpm", steps=2 if tiny else 200, progress=False)
    records, chosen = [], choose_precision(DEVICE)[0]
    for bits in dict.fromkeys(("no", chosen)):
        with autocast(bits):
            seconds = fastest(ways, rounds=1 if tiny else 2)
            if bits == "no":  # 15 samples, of which each takes what one takes
                seconds["article: 15 of 200 steps"] = 15 * fastest({"": article}, rounds=1, warm_up=0)[""]
        records += [
            {
                "way": way,
                "precision": {"no": "float32"}.get(bits, bits),
                "megapixels_per_second": short(side**2 / 1e6 / took),
            }
            for way, took in seconds.items()
        ]
    return records


def precision(tiny: bool) -> dict[str, float]:
    """How far bf16 moves the PSNR of a pair and of one call, dB: on average over images, and at most."""
    found: dict[str, list[float]] = {"one call": [], "one pair": []}
    for name in simulate.NAMES[: 1 if tiny else None]:
        model, pairs = checkpoint.load_model(name), simulate.split(name, "test")
        for low, high in list(zip(pairs.low, pairs.high, strict=True))[: 1 if tiny else 8 if ON_GPU else 2]:
            low, high = low[:32, :32] if tiny else low[:64, :64], high[:32, :32] if tiny else high[:64, :64]
            scores = []
            for bits in ("no", "bf16"):
                with autocast(bits):
                    images = model.posterior_mean(low), restore(model, low, progress=False, **WAYS["one pair"]).mean
                scores.append([psnr(high, image) for image in images])
            for way, change in zip(found, np.subtract(*scores[::-1]), strict=True):
                found[way].append(float(change))
    return {
        f"{way}, {what}": round(float(of(changes)), 4)
        for way, changes in found.items()
        for what, of in {"mean": np.mean, "largest": lambda values: max(values, key=abs)}.items()
    }


def sampling(tiny: bool) -> dict[str, float]:
    """Milliseconds that ten steps of DPM-Solver++(2M) take besides the network, here and in diffusers."""
    from diffusers import DPMSolverMultistepScheduler

    schedule, cond = cosine_schedule(), torch.zeros(1, 1, 128, 128, device=DEVICE)
    scheduler = DPMSolverMultistepScheduler(
        num_train_timesteps=200, beta_schedule="squaredcos_cap_v2", timestep_spacing="trailing",
        prediction_type="sample", solver_order=2, solver_type="midpoint", final_sigmas_type="zero",
    )  # fmt: skip

    def of_diffusers() -> None:
        scheduler.set_timesteps(10)
        x = torch.randn_like(cond)
        for t in scheduler.timesteps:
            x = scheduler.step(cond, t, x).prev_sample

    here = partial(sample_dpmpp_2m, lambda x_t, t, cond: cond, schedule, cond)
    seconds = fastest({"ours": here, "diffusers": of_diffusers}, rounds=2 if tiny else 20)
    return {way: short(1e3 * took) for way, took in seconds.items()}


def specialist(tiny: bool) -> dict[str, Any]:
    """A whole training as the shipped specialists had it, start and validation included, beside the shipped one."""
    found = {}
    for seed in range(1 if tiny else 3):
        found[f"seed {seed}"] = trained(TrainConfig(steps=2 if tiny else 6000, seed=seed), zebrafish(tiny))
    shipped = checkpoint.load_model("zebrafish").info
    return found | {"shipped": {"seconds": shipped["seconds"], "val_mae": shipped["validation"][-1]["mae"]}}


def batch_and_rate(tiny: bool) -> Records:
    """Validation error after as many patches in larger batches, by three rules for the learning rate.

    With n times the batch the rate stays, grows with sqrt(n) (for Adam: Malladi et al. 2022, arXiv 2205.10287), or
    grows with n. Expected beforehand: sqrt(n) is best up to batches of 128; at 512 too few steps are left for any rule.
    """
    records, parts = [], zebrafish(tiny)
    for batch in (8,) if tiny else (8, 32, 128, 512):
        n = batch / 8
        for rule, factor in (
            {"same": 1, "square root": math.sqrt(n), "in proportion": n}.items() if n > 1 else [("", 1)]
        ):
            config = TrainConfig(steps=2 if tiny else 8192 // int(n), batch_size=batch, lr=TrainConfig.lr * factor)
            records.append({"batch": batch, "rule": rule, "lr": short(config.lr), **trained(config, parts)})
    return records


def zebrafish(tiny: bool) -> list[PairedPatches]:
    """The patches to train on, and those to validate with."""
    parts = [simulate.make_pairs("zebrafish", 2, size=32, seed=0)] * 2
    if not tiny:
        parts = [simulate.split("zebrafish", part) for part in ("train", "val")]
    return [PairedPatches(pairs.low, pairs.high, 16 if tiny else TrainConfig.patch) for pairs in parts]


def trained(config: TrainConfig, parts: list[PairedPatches]) -> dict[str, float | None]:
    """Seconds and validation error of one training; no error where the loss was no longer finite."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            model = fit(config, *parts, folder, progress=False)
        except FloatingPointError:
            return {"seconds": None, "val_mae": None}
    seconds = round(time.perf_counter() - begun, 1)
    return {"seconds": seconds, "val_mae": min(record["mae"] for record in model.info["validation"])}


def paper(tiny: bool) -> dict[str, Any]:
    """One training step of the article's network on its batches, 8 patches of 256 pixels, beside its FLOPs."""
    config = UNetConfig.micro() if tiny else UNetConfig.paper()
    batch, side = (1, 32) if tiny else (8, 256)
    run = Run(Model(config, cosine_schedule()), accelerator(choose_precision(DEVICE)[0]))
    x0, cond = torch.zeros(2, batch, 1, side, side, device=DEVICE)
    drawn = objective_of(run.model).draw(x0, cond, torch.Generator(DEVICE).manual_seed(0))
    with FlopCounterMode(display=False) as counter:
        training_step(run, objective_of(run.model), x0, cond, *drawn)
    step = partial(training_step, run, objective_of(run.model), x0, cond, *drawn)
    seconds = fastest({"": step}, rounds=1 if tiny else 5)[""]
    found = {"seconds": short(seconds), "tflops": short(counter.get_total_flops() / seconds / 1e12)}
    return found | ({"mb": gpu_megabytes(step)} if ON_GPU else {})


def gpu_megabytes(step: Callable) -> float:
    """MB that one more step takes at its peak."""
    torch.cuda.reset_peak_memory_stats()
    step()
    wait()
    return round(torch.cuda.max_memory_allocated() / 1e6, 1)


if __name__ == "__main__":
    stream = torch.cuda.stream(torch.cuda.Stream() if ON_GPU else None)  # where a graph can be captured
    with stream:
        main()
