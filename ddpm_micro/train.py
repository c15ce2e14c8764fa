"""Training: one function, on any device, that can be stopped and resumed at any step."""

from __future__ import annotations

import copy
import json
import math
import platform
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list
from torch import Tensor
from tqdm.auto import tqdm

from ddpm_micro.capture import Captured
from ddpm_micro.checkpoint import load_weights, save_model
from ddpm_micro.data import PairedPatches
from ddpm_micro.device import choose_precision, processes
from ddpm_micro.files.atomic import atomic_write, locked
from ddpm_micro.model import Model, at_once, check_method
from ddpm_micro.noise import Negated, seeded
from ddpm_micro.objectives import Objective, hide, objective_of
from ddpm_micro.run import Run, read_state, stop_requests
from ddpm_micro.samplers import sample_ddim
from ddpm_micro.schedule import Denoiser, NoiseSchedule, check_prediction, cosine_schedule
from ddpm_micro.unet import UNetConfig

VALIDATIONS = 16  # in a run, where the configuration does not say otherwise
LOOK_EVERY = 10  # steps between looks at the loss, for which the host waits for the device
SAVE_EVERY = 300  # seconds between two writings of all that a run needs to go on


@dataclass(frozen=True)
class TrainConfig:
    """One training run. Two runs of one configuration on one CPU give the same weights."""

    steps: int = 4000  # of the optimizer
    batch_size: int = 8  # patches per step and process
    patch: int = 64  # pixels, side of a patch
    lr: float = 1e-1  # peak of `learning_rate`; relative to filters of magnitude 1 (EDM2)
    warmup: float = 0.025  # share of the steps in which the learning rate rises, in [0, 1]
    ema_decay: float = 0.999  # of the averaged weights, in [0, 1): what `decay_at` rises to
    method: str = "ddpm"  # a diffusion model; or "care" or "n2v", rivals with the same network
    prediction: str = "v"  # what a diffusion model predicts: "v", "eps" or "x0"; the rivals predict x0
    num_train_timesteps: int = 200  # T of the cosine schedule
    unet: UNetConfig = field(default_factory=UNetConfig.micro)
    seed: int = 0
    val_every: int | None = None  # steps between validations; if None, a sixteenth of the run
    precision: str = "auto"  # "no" (float32), "bf16", or whichever is faster, see `choose_precision`

    def __post_init__(self) -> None:
        check_method(self.method)
        check_prediction(self.prediction)
        for name in ("steps", "batch_size", "patch", "num_train_timesteps", "val_every", "lr"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"expected {name} > 0, got {getattr(self, name)}")
        for name, holds, allowed in (
            ("ema_decay", 0 <= self.ema_decay < 1, "in [0, 1)"),
            ("warmup", 0 <= self.warmup <= 1, "in [0, 1], a share of the steps"),
            ("seed", 0 <= self.seed < 2**63, "in 0..2**63 - 1"),
            ("precision", self.precision in ("auto", "no", "bf16"), "auto, no or bf16"),
        ):
            if not holds:
                raise ValueError(f"expected {name} {allowed}, got {getattr(self, name)!r}")


def learning_rate(step: np.ndarray | int, steps: int, peak: float, warmup: int) -> np.ndarray:
    """A straight rise over ``warmup`` steps under half a cosine from ``peak`` to 0 over all ``steps``."""
    return peak * np.minimum((step + 1) / warmup, 0.5 + 0.5 * np.cos(np.pi * step / steps))


def ema_update(average: Tensor, current: Tensor, decay: Tensor | float) -> Tensor:
    """The average after one more step: mostly what it was, and a little of the weights of now."""
    return decay * average + (1 - decay) * current


def decay_at(step: int, decay: float) -> float:
    """Decay of the average with a warm-up: early in a run it looks back over a tenth of the steps done."""
    return min(decay, (1 + step) / (10 + step))


def training_step(run: Run, objective: Objective, x0: Tensor, cond: Tensor, *drawn: Tensor) -> Tensor:
    """One step of training; returns the loss before it, a scalar on the device.

    ``drawn`` is what ``objective.draw`` gives for the batch: a DDPM's t and eps.
    """
    loss = objective.loss(run.output, x0, cond, *drawn)
    run.optimizer.zero_grad()
    run.accelerator.backward(loss)  # the gradient
    run.optimizer.step()  # the move
    run.model.unet.normalize_weights_()  # this network keeps its weights at one size
    run.average.copy_(ema_update(run.average, run.weights(), run.decay))
    return loss.detach()


def fit(
    config: TrainConfig,
    train: PairedPatches,
    val: PairedPatches,
    folder: str | Path,
    *,
    start: Model | None = None,
    objective: Objective | None = None,
    data: str | dict = "",
    progress: bool = True,
    on_validation: Callable[[int, Model], None] | None = None,
) -> Model:
    """Train a model, or go on with the run that ``folder`` holds.

    Parameters
    ----------
    config : TrainConfig
    train, val : PairedPatches
    folder : path
        Takes ``model.safetensors`` with its sidecar (the averaged weights of the lowest validation MAE, which are
        returned too), ``log.jsonl`` (one line per validation) and ``last.pt`` (all that is needed to go on).
    start : Model, optional
        Begin with this model and not with random weights: fine-tuning, or longer training. It stays as it is.
    objective : Objective, optional
        What to train for; by default `objective_of` the model.
    data : str or dict
        What it is trained on, for the sidecar.
    progress : bool
        Show a bar with the loss and the time left.
    on_validation : callable, optional
        Called as ``on_validation(step, model)`` after each validation with the averaged weights.

    Raises
    ------
    ValueError
        If ``folder`` holds a run of another configuration, start or other data, if another training
        is writing to it, or if ``start`` has another network, schedule, prediction, method or scaling of images.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, once all is saved; the same call goes on from there.
    FloatingPointError
        If the loss is no longer finite.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    run, identity, how = _begin(config, train, val, folder, start)
    objective, train = objective or objective_of(run.model), train.to(run.device)
    step, captured = _captured(run, objective, config.unet.dropout)
    warmup, val_every = max(1, round(config.warmup * config.steps)), config.val_every or -(-config.steps // VALIDATIONS)
    main, begun, written = run.accelerator.is_main_process, time.monotonic() - run.seconds, time.monotonic()
    bar = tqdm(total=config.steps, initial=run.step, disable=not (progress and main), desc=how + captured, unit="step")
    gpus, stream = [], None
    if run.device.type == "cuda":  # it captures a graph from what has run on a stream of its own
        gpus, stream = [run.device], torch.cuda.Stream(run.device)
        stream.wait_stream(torch.cuda.current_stream(run.device))
    lock = locked(folder / ".lock", str(folder)) if main else nullcontext()
    with lock, stop_requests() as stop, bar, torch.cuda.stream(stream), torch.random.fork_rng(gpus):
        while run.step < config.steps:
            lr = float(learning_rate(run.step, config.steps, config.lr, warmup))
            run.set_rates(lr, decay_at(run.step, config.ema_decay))
            if config.unet.dropout:  # its masks come from the global random state
                torch.manual_seed(_generator(run, config, 2).initial_seed())
            value = step(*draw_batch(run, config, objective, train))
            run.step += 1
            bar.update()
            last = run.step == config.steps
            if run.step % LOOK_EVERY == 0 or last:
                mae = f"{run.log[-1]['val_mae']:.4f}" if run.log else "-"
                bar.set_postfix(loss=f"{_finite(value, run.step, lr):.4f}", val_mae=mae, refresh=False)
            if run.step % val_every == 0 or last:
                run.seconds = time.monotonic() - begun
                seconds, mae = round(run.seconds, 1), validate(run.averaged, val)
                run.log.append({"step": run.step, "loss": value.item(), "lr": lr, "val_mae": mae, "seconds": seconds})
                if main:
                    _keep(run, config, folder, {"data": data, "start": identity["start"]})
                if on_validation:
                    on_validation(run.step, run.averaged)
            stopping = _agree(run.accelerator, stop.is_set())
            if stopping or last or time.monotonic() - written > SAVE_EVERY:
                _finite(value, run.step, lr)
                run.seconds, written = time.monotonic() - begun, time.monotonic()
                if main:
                    run.write(folder / "last.pt", identity)
            if stopping:
                raise KeyboardInterrupt(
                    f"stopped at step {run.step} of {config.steps}; the same call goes on from {folder}"
                )
    run.accelerator.wait_for_everyone()
    return load_weights(run.averaged, folder / "model.safetensors")


def draw_batch(run: Run, config: TrainConfig, objective: Objective, patches: PairedPatches) -> tuple[Tensor, ...]:
    """x0, cond and what the objective draws for the next step, all that follows from the seed, the step and the rank.

    There is no generator whose state would have to be kept.
    """
    rank, world = run.accelerator.process_index, run.accelerator.num_processes
    x0, cond = patches.batch(run.step, config.batch_size, seed=config.seed, rank=rank, world=world)
    x0, cond = x0.to(run.device), cond.to(run.device)
    return x0, cond, *objective.draw(x0, cond, _generator(run, config, 3))


@torch.no_grad()
def validate(model: Model, val: PairedPatches, *, most: int = 32) -> float:
    """Mean absolute error of one estimate per patch (see `quick_estimate`), in network values.

    For n2v without clean images it is the error at hidden pixels: seeing them, returning the input would look perfect.
    """
    x0, cond = (part.to(model.device) for part in val.centres(most))
    model.eval()
    if model.method == "n2v" and torch.equal(x0, cond):
        seen, hidden = hide(cond, torch.Generator().manual_seed(0))
        return (at_once(model, model.schedule, seen) - cond)[hidden].abs().mean().item()
    return (quick_estimate(model, model.schedule, model.method, cond) - x0).abs().mean().item()


def quick_estimate(denoiser: Denoiser, schedule: NoiseSchedule, method: str, cond: Tensor) -> Tensor:
    """The estimate that validation measures: the answer at once or, of a diffusion model, a mean of two samples.

    The two are antithetic (see `Negated`), of 5 DDIM steps each, and begin with the same noise every time. The error
    of a single one would not do: the more a model spreads its samples, as it should, the larger it is.
    """
    if method != "ddpm":
        return at_once(denoiser, schedule, cond)
    steps = min(5, schedule.num_train_timesteps)
    noise = torch.Generator().manual_seed(0), Negated(torch.Generator().manual_seed(0))
    return sum(sample_ddim(denoiser, schedule, cond, steps=steps, generator=one) for one in noise) / 2


def _begin(
    config: TrainConfig, train: PairedPatches, val: PairedPatches, folder: Path, start: Model | None
) -> tuple[Run, dict, str]:
    """The run of ``folder`` where it stopped, or a new one; what makes it this run; and how it computes, in words."""
    process = processes()
    identity = asdict(config) | {"train": train.fingerprint(), "val": val.fingerprint()}
    identity |= {"processes": process.num_processes, "start": start and start.fingerprint()}
    state = read_state(folder / "last.pt", identity) if (folder / "last.pt").exists() else {}
    choice = choose_precision(process.device, state.get("precision", config.precision))
    precision, reason = broadcast_object_list([choice])[0]  # each process measures, and all do as the first
    AcceleratorState._reset_state()  # else a notebook's second run could not choose another precision
    with torch.random.fork_rng([]):  # the caller's random state is put back
        torch.default_generator.manual_seed(config.seed)
        model = Model(
            config.unet,
            cosine_schedule(config.num_train_timesteps),
            prediction=config.prediction if config.method == "ddpm" else "x0",
            method=config.method,
            percentiles=train.percentiles,
        )
    if start is not None:
        for what, ours in model.kind().items():
            if (theirs := start.kind()[what]) != ours:
                raise ValueError(f"expected start to have this run's {what}, {ours}, got {theirs}")
        model = copy.deepcopy(start)
        model.unet.normalize_weights_()  # averaged weights are a little short
    run = Run(model, Accelerator(mixed_precision=precision))
    if state:
        run.read(state)
    return run, identity, f"{process.device}, {precision}: {reason}"


def _captured(run: Run, objective: Objective, dropout: float) -> tuple[Callable[..., Tensor], str]:
    """`training_step` of this run, as one CUDA graph where that is possible; on a GPU also a line that says so."""
    step = partial(training_step, run, objective)
    if run.device.type != "cuda":
        return step, ""
    if dropout:
        return step, ", not as one graph: dropout draws new masks at each step"
    if run.accelerator.num_processes > 1:
        return step, ", not as one graph: several processes exchange gradients"
    return Captured(step), ", a step as one graph"


def _generator(run: Run, config: TrainConfig, purpose: int) -> torch.Generator:
    return seeded(config.seed, purpose, run.step, run.accelerator.process_index, device=run.device)


def _finite(value: Tensor, step: int, lr: float) -> float:
    """The loss, if it is a number."""
    loss = value.item()
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss} at step {step}; lower lr (now {lr:.3g}) and use another folder")
    return loss


def _agree(accelerator: Accelerator, stop: bool) -> bool:
    """Whether any process was asked to stop: all stop after the same step."""
    if accelerator.num_processes == 1:
        return stop
    if stop:
        accelerator.set_trigger()
    return accelerator.check_trigger()


def _keep(run: Run, config: TrainConfig, folder: Path, about: dict) -> None:
    """Write the log and, if the last validation was the best so far, the averaged model with what its sidecar tells."""
    with atomic_write(folder / "log.jsonl", overwrite=True) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in run.log))
    if run.log[-1]["val_mae"] != min(line["val_mae"] for line in run.log):  # NaN is never the best
        return
    processes, precision = run.accelerator.num_processes, run.accelerator.mixed_precision
    run.averaged.info = about | {
        "training": asdict(config) | {"processes": processes, "precision": precision},
        "steps": run.step,
        "seconds": run.log[-1]["seconds"],
        "machine": f"{platform.machine()}, {run.device}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "validation": [{"step": line["step"], "mae": round(line["val_mae"], 5)} for line in run.log],
    }
    save_model(run.averaged, folder / "model.safetensors")
