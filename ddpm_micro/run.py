"""A training run: all that changes while a model is trained, which can be written down at any step and read back."""

from __future__ import annotations

import copy
import errno
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.utils import vector_to_parameters

from ddpm_micro.files.atomic import atomic_write
from ddpm_micro.model import Model


def adamw(parameters: Iterator[nn.Parameter]) -> torch.optim.Optimizer:
    """AdamW without weight decay: the network holds its weights at unit magnitude instead."""
    parameters = list(parameters)
    device = parameters[0].device
    return torch.optim.AdamW(
        parameters,
        lr=torch.zeros((), device=device),  # a tensor, so that a captured step sees the rate change
        betas=(0.9, 0.99),
        weight_decay=0.0,
        fused=device.type in ("cpu", "cuda"),
        capturable=device.type == "cuda",
    )


class Run:
    """A model in training at some step.

    Parameters
    ----------
    model : Model
        Trained in place.
    accelerator : Accelerator, optional
        Device, precision and processes; by default float32.
    optimizer : callable
        Makes the optimizer from the parameters.

    Attributes
    ----------
    average : Tensor, shape (number of weights,)
        The exponential moving average of the weights, one after another.
    averaged : Model
        The model with the averaged weights, which are views of ``average``: it is validated and saved.
    decay : Tensor, shape ()
        Share of the average that the next step keeps.
    step, seconds, log
        Steps done, the time they took, and one record for each validation.
    """

    def __init__(
        self,
        model: Model,
        accelerator: Accelerator | None = None,
        optimizer: Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer] = adamw,
    ) -> None:
        self.accelerator = accelerator or Accelerator(mixed_precision="no")
        self.device = self.accelerator.device
        self.model = model.to(self.device, memory_format=torch.channels_last).train().requires_grad_(True)
        self.averaged = copy.deepcopy(self.model).eval()
        self.average = self.weights()
        vector_to_parameters(self.average, self.averaged.parameters())
        self.decay = torch.zeros((), device=self.device)
        self.network, self.optimizer = self.accelerator.prepare(model.unet, optimizer(model.parameters()))
        self.step, self.seconds = 0, 0.0
        self.log: list[dict] = []

    def weights(self) -> Tensor:
        """All weights as they are now, one after another, shape (number of weights,)."""
        return torch.cat([parameter.detach().flatten() for parameter in self.model.parameters()])

    def output(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """The bare output of the network, computed in the precision and processes of the run."""
        return self.network(*self.model.inputs(x_t, t, cond))

    def set_rates(self, lr: float, decay: float) -> None:
        """Set the learning rate and the decay of the average for the next step."""
        for group in self.optimizer.param_groups:
            if torch.is_tensor(group["lr"]):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr
        self.decay.fill_(decay)

    def write(self, path: Path, identity: dict) -> None:
        """Keep all that the run needs to go on, whole or not at all.

        ``identity``, which is JSON-like, says which run it is.
        """
        scaler = self.accelerator.scaler
        state = {
            "run": json.dumps(identity),
            "precision": self.accelerator.mixed_precision,
            "step": self.step,
            "log": self.log,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict()["state"],
            "scaler": scaler.state_dict() if scaler is not None else None,
        }
        with atomic_write(path, overwrite=True) as temporary:
            try:
                torch.save(state, temporary)
            except RuntimeError as error:  # what torch makes of a full disk
                raise OSError(errno.EIO, "cannot write, the disk may be full", str(path)) from error

    def read(self, state: dict) -> None:
        """Take the place of the run whose state it is, see `read_state`."""
        self.model.load_state_dict(state["model"])
        self.average.copy_(state["average"])
        groups = self.optimizer.state_dict()["param_groups"]  # how it works on this device
        self.optimizer.load_state_dict({"state": state["optimizer"], "param_groups": groups})
        if self.accelerator.scaler is not None and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step, self.log, self.seconds = state["step"], state["log"], state["seconds"]


def read_state(path: Path, identity: dict) -> dict:
    """What `Run.write` kept in ``path``, if it is the run of this identity."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        theirs = json.loads(state["run"])
    except Exception as error:  # a damaged archive fails in many ways
        raise ValueError(
            f"cannot go on from {path}: it is damaged ({type(error).__name__}); remove it to start again"
        ) from error
    if "average" not in state:
        raise ValueError(f"cannot go on from {path}: an earlier version wrote it; choose another folder to start again")
    ours = json.loads(json.dumps(identity))
    differ = [
        f"{name} was {theirs.get(name)}, now {value}" for name, value in ours.items() if theirs.get(name) != value
    ]
    if differ:
        raise ValueError(f"{path.parent} holds another run ({'; '.join(differ)}); choose another folder")
    return state


@contextmanager
def stop_requests() -> Iterator[SimpleNamespace]:
    """Turn Ctrl-C and SIGTERM into a flag while the block runs, so that a step is never cut in two."""
    stop = SimpleNamespace(requested=False)

    def request(*_: object) -> None:
        stop.requested = True

    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(ValueError):  # only the main thread may set handlers
            before[number] = signal.signal(number, request)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def seeded_dropout(dropout: float, generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Draw dropout masks from the seed of a generator, and put the caller's random state back."""
    if not dropout:
        yield
        return
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(generator.initial_seed())
        yield
