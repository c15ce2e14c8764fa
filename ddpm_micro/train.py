"""Training: one function, on any device, that can be stopped and resumed at any step."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list, parse_flag_from_env
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from tqdm.auto import tqdm

from ddpm_micro.checkpoint import load_model, save_model
from ddpm_micro.data import PairedPatches
from ddpm_micro.device import choose_precision
from ddpm_micro.files.atomic import atomic_write
from ddpm_micro.model import Model, check_method
from ddpm_micro.noise import seeded
from ddpm_micro.objectives import care_loss, draw_t_eps, loss_weight, n2v_loss, quick_estimate, weighted_loss
from ddpm_micro.resume import read_state, seeded_dropout, stop_requests, write_state
from ddpm_micro.schedule import check_prediction, cosine_schedule
from ddpm_micro.unet import UNetConfig

WARMUP = 100  # optimiser steps in which the learning rate rises to its peak


@dataclass(frozen=True)
class TrainConfig:
    """One training run. Two runs of one configuration on one CPU give the same weights.

    Attributes
    ----------
    steps, batch_size, patch : int
        Optimiser steps, patches per step and process, side of a patch in pixels.
    lr : float
        Peak learning rate: linear warm-up, then one cosine to zero. Relative to filters of magnitude 1 (EDM2).
    ema_decay : float, in [0, 1)
        Of the averaged weights, which are validated and saved; it starts low and rises to this.
    method : {"ddpm", "care", "n2v"}
        A diffusion model, or the same network trained as one of its rivals, see `ddpm_micro.objectives`.
    prediction : {"v", "eps", "x0"}
        Of a diffusion model; the rivals predict x0.
    num_train_timesteps : int
        T of the cosine schedule.
    unet : UNetConfig
    seed : int
    val_every : int
        Steps between validations; the weights of the lowest validation MAE are kept.
    checkpoint_minutes : float
    precision : {"auto", "no", "bf16", "fp16"}
        ``"auto"`` takes what is fastest, see `choose_precision`.
    """

    steps: int = 4000
    batch_size: int = 8
    patch: int = 64
    lr: float = 1e-1
    ema_decay: float = 0.999
    method: str = "ddpm"
    prediction: str = "v"
    num_train_timesteps: int = 200
    unet: UNetConfig = field(default_factory=UNetConfig.micro)
    seed: int = 0
    val_every: int = 250
    checkpoint_minutes: float = 5.0
    precision: str = "auto"

    def __post_init__(self) -> None:
        check_method(self.method)
        check_prediction(self.prediction)
        for name in ("steps", "batch_size", "patch", "num_train_timesteps", "val_every", "lr"):
            if getattr(self, name) <= 0:
                raise ValueError(f"expected {name} > 0, got {getattr(self, name)}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"expected ema_decay in [0, 1), got {self.ema_decay}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"expected a seed in 0..2**63 - 1, got {self.seed}")
        if self.precision not in ("auto", "no", "bf16", "fp16"):
            raise ValueError(f"expected precision auto, no, bf16 or fp16, got {self.precision!r}")


def fit(
    config: TrainConfig,
    train: PairedPatches,
    val: PairedPatches,
    folder: str | Path,
    *,
    start: Model | None = None,
    data: str = "",
    progress: bool = True,
    on_validation: Callable[[int, Model], None] | None = None,
) -> Model:
    """Train a model, or go on with the run that ``folder`` holds.

    Parameters
    ----------
    config : TrainConfig
    train, val : PairedPatches
    folder : path
        Takes ``model.safetensors`` with its sidecar (the best averaged weights so far), ``log.jsonl`` (one line per
        validation) and ``last.pt`` (all that is needed to go on).
    start : Model, optional
        Begin with its weights and not with random ones: fine-tuning, or longer training. It stays as it is.
    data : str
        What it is trained on, for the sidecar.
    progress : bool
        Show a bar with the loss and the time left.
    on_validation : callable, optional
        Called as ``on_validation(step, model)`` after each validation with the averaged weights.

    Returns
    -------
    Model
        The averaged weights of the lowest validation MAE.

    Raises
    ------
    ValueError
        If ``folder`` holds a run of another configuration, start or other data, or if ``start`` has another network,
        schedule, prediction or scaling of images.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, once all is saved; the same call goes on from there.
    FloatingPointError
        If the loss is no longer finite.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    process = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))
    main, rank, world = process.is_main_process, process.process_index, process.num_processes
    run = asdict(config) | {"processes": world, "train": train.fingerprint(), "val": val.fingerprint()}
    run["start"] = start.fingerprint() if start is not None else None
    state = read_state(folder / "last.pt", run) if (folder / "last.pt").exists() else {}
    precision, reason = _choose_precision(config, state, process)
    AcceleratorState._reset_state()  # else a notebook's second run could not choose another precision
    accelerator = Accelerator(mixed_precision=precision)

    schedule = cosine_schedule(config.num_train_timesteps)
    with torch.random.fork_rng(devices=[]):  # the caller's random state is put back
        torch.default_generator.manual_seed(config.seed)
        prediction = config.prediction if config.method == "ddpm" else "x0"
        model = Model(config.unet, schedule, prediction=prediction, method=config.method, percentiles=train.percentiles)
    if start is not None:
        _check_start(start, model)
        model.load_state_dict(start.state_dict())
        model.unet.normalize_weights_()  # averaged weights are a little short
    model.to(accelerator.device, memory_format=torch.channels_last)
    # Weights are held at unit magnitude, which takes the place of weight decay.
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, betas=(0.9, 0.99), weight_decay=0.0)
    averaged = AveragedModel(model, multi_avg_fn=_warmed_up_ema(config.ema_decay))
    unet, optimizer = accelerator.prepare(model.unet, optimizer)

    def output(x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        return unet(*model.inputs(x_t, t, cond))

    def objective(x0: Tensor, cond: Tensor, generator: torch.Generator) -> Tensor:
        if config.method == "care":
            return care_loss(output, schedule, x0, cond)
        if config.method == "n2v":
            return n2v_loss(output, schedule, cond, generator)
        t, eps = draw_t_eps(schedule, x0, generator)
        weight = loss_weight(schedule, prediction, t).to(x0)
        return weighted_loss(output, schedule, prediction, x0, cond, t, eps, weight)

    step, log, seconds = 0, [], 0.0
    if state:
        model.load_state_dict(state["model"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        if accelerator.scaler is not None and state["scaler"]:
            accelerator.scaler.load_state_dict(state["scaler"])
        step, log, seconds = state["step"], state["log"], state["seconds"]
    started = time.monotonic() - seconds

    def check_finite(value: Tensor, step: int) -> None:
        if not math.isfinite(value.item()):
            raise FloatingPointError(
                f"the loss is {value.item()} at step {step}; lower lr (now {config.lr}) and start in another folder"
            )

    def save_state() -> None:
        if not main:
            return
        state = {
            "run": run,
            "precision": precision,
            "step": step,
            "log": log,
            "seconds": time.monotonic() - started,
        }
        state |= {"model": model.state_dict(), "averaged": averaged.state_dict(), "optimizer": optimizer.state_dict()}
        state["scaler"] = accelerator.scaler.state_dict() if accelerator.scaler is not None else None
        write_state(folder / "last.pt", state)

    bar = tqdm(
        total=config.steps,
        initial=step,
        disable=not (progress and main),
        desc=f"{accelerator.device}, {precision}: {reason}",
        unit="step",
    )
    saved_at = time.monotonic()
    with stop_requests() as stop, bar:
        while step < config.steps:
            x0, cond = (
                part.to(accelerator.device)
                for part in train.batch(step, config.batch_size, seed=config.seed, rank=rank, world=world)
            )
            # Everything random about a step follows from (seed, step, rank): there is no generator to save.
            generator = seeded(config.seed, step, rank)
            for group in optimizer.param_groups:
                group["lr"] = float(learning_rate(step, config.steps, config.lr, WARMUP))
            unet.train()
            with seeded_dropout(generator, config.unet.dropout, accelerator.device):
                value = objective(x0, cond, generator)
            accelerator.backward(value)
            optimizer.step()
            optimizer.zero_grad()
            model.unet.normalize_weights_()
            averaged.update_parameters(model)
            step += 1

            if step % 10 == 0 or step == config.steps:
                check_finite(value, step)
                bar.set_postfix(
                    loss=f"{value.item():.4f}", val_mae=f"{log[-1]['val_mae']:.4f}" if log else "-", refresh=False
                )
            bar.update()
            if step % config.val_every == 0 or step == config.steps:
                record = {"step": step, "loss": value.item(), "lr": optimizer.param_groups[0]["lr"]}
                record |= {
                    "val_mae": validate(averaged.module, val, config.method),
                    "seconds": round(time.monotonic() - started, 1),
                }
                best = min((line["val_mae"] for line in log), default=math.inf)
                log.append(record)
                if main:
                    if record["val_mae"] < best:
                        averaged.module.info = _info(config, run["start"], data, log, accelerator, precision)
                        save_model(averaged.module, folder / "model.safetensors")
                    with atomic_write(folder / "log.jsonl", overwrite=True) as temporary:
                        temporary.write_text("".join(json.dumps(line) + "\n" for line in log))
                if on_validation:
                    on_validation(step, averaged.module)
            stopping = stop.requested
            if world > 1:  # all processes stop after the same step
                if stopping:
                    accelerator.set_trigger()
                stopping = accelerator.check_trigger()
            if stopping or time.monotonic() - saved_at > 60 * config.checkpoint_minutes:
                check_finite(value, step)
                save_state()
                saved_at = time.monotonic()
            if stopping:
                raise KeyboardInterrupt(
                    f"stopped at step {step} of {config.steps}; the same call goes on from {folder}"
                )
        save_state()
    accelerator.wait_for_everyone()
    return load_model(folder / "model.safetensors")


def learning_rate(step: np.ndarray | int, steps: int, peak: float, warmup: int) -> np.ndarray:
    """A straight rise over ``warmup`` steps under half a cosine from ``peak`` to 0 over all ``steps``."""
    return peak * np.minimum((step + 1) / warmup, 0.5 + 0.5 * np.cos(np.pi * step / steps))


@torch.no_grad()
def validate(model: Model, val: PairedPatches, method: str = "ddpm", *, most: int = 32) -> float:
    """Mean absolute error of one estimate per patch (see `quick_estimate`), in network values."""
    x0, cond = (part.to(next(model.parameters()).device) for part in val.centres(most))
    model.eval()
    return (quick_estimate(model, model.schedule, method, cond) - x0).abs().mean().item()


def _choose_precision(config: TrainConfig, state: dict, process: PartialState) -> tuple[str, str]:
    """That of the configuration, else of the run so far, else the fastest; and why. The same in all processes."""
    if config.precision == "fp16" and process.device.type != "cuda":
        raise ValueError(f"expected precision no or bf16 on {process.device.type}, got fp16, which is for CUDA")
    if config.precision != "auto":
        return config.precision, "as asked"
    if state:
        return state["precision"], "as before"
    choice = [choose_precision(process.device)]
    return broadcast_object_list(choice)[0]


def _warmed_up_ema(decay: float) -> Callable[..., None]:
    """Averaging that forgets quickly at first: over a tenth of the steps so far, until that is ``decay``'s length."""

    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        reached = min(decay, (1 + int(count)) / (10 + int(count)))
        for average, now in zip(averaged, current, strict=True):
            average.copy_(ema_update(average, now, reached))

    return update


def ema_update(average: Tensor, current: Tensor, decay: float) -> Tensor:
    """The average after one more step: mostly what it was, and a little of the weights of now."""
    return decay * average + (1 - decay) * current


def _info(
    config: TrainConfig, start: str | None, data: str, log: list[dict], accelerator: Accelerator, precision: str
) -> dict:
    """What the sidecar tells of a training run."""
    return {
        "data": data,
        "start": start,
        "training": asdict(config) | {"processes": accelerator.num_processes, "precision": precision},
        "steps": log[-1]["step"],
        "seconds": log[-1]["seconds"],
        "machine": f"{platform.machine()}, {accelerator.device}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "validation": [{"step": line["step"], "mae": round(line["val_mae"], 5)} for line in log],
    }


def _check_start(start: Model, model: Model) -> None:
    """Whether weights of ``start`` mean in ``model`` what they meant there."""
    for what, theirs, ours in (
        ("network", start.unet.config, model.unet.config),
        ("schedule", start.schedule.config, model.schedule.config),
        ("prediction", start.prediction, model.prediction),
        ("scaling of images", start.percentiles, model.percentiles),
    ):
        if theirs != ours:
            raise ValueError(f"expected start to have this run's {what}, {ours}, got {theirs}")
