"""A training run: all that changes while a model is trained, which can be written down at any step and read back."""

from __future__ import annotations

import copy
import errno
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn.utils import vector_to_parameters

from ddpm_micro.files.atomic import atomic_write
from ddpm_micro.model import Model


class Run:
    """A model, trained in place, at some step; device, precision and processes are the accelerator's."""

    def __init__(self, model: Model, accelerator: Accelerator | None = None) -> None:
        self.accelerator = accelerator or Accelerator(mixed_precision="no")
        self.device = self.accelerator.device
        self.model = model.to(self.device, memory_format=torch.channels_last).train().requires_grad_(True)
        self.averaged = copy.deepcopy(self.model).eval()
        self.average = self.weights()  # exponential moving average of all weights, shape (number of weights,)
        vector_to_parameters(self.average, self.averaged.parameters())  # this model's weights are views of it
        self.decay = torch.zeros((), device=self.device)  # share of the average that the next step keeps
        # No weight decay: the network holds its weights at unit magnitude instead.
        optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=torch.zeros((), device=self.device),  # a tensor, so that a captured step sees the rate change
            betas=(0.9, 0.99),
            weight_decay=0.0,
            fused=self.device.type in ("cpu", "cuda"),
            capturable=self.device.type == "cuda",
        )
        self.network, self.optimizer = self.accelerator.prepare(model.unet, optimizer)
        self.step, self.seconds = 0, 0.0  # steps done, and the time they took
        self.log: list[dict] = []  # one record for each validation

    def weights(self) -> Tensor:
        """All weights as they are now, one after another, shape (number of weights,)."""
        return torch.cat([parameter.detach().flatten() for parameter in self.model.parameters()])

    def output(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """The bare output of the network, computed in the precision and processes of the run."""
        return self.network(*self.model.inputs(x_t, t, cond))

    def set_rates(self, lr: float, decay: float) -> None:
        """Set the learning rate and the decay of the average for the next step."""
        self.optimizer.param_groups[0]["lr"].fill_(lr)
        self.decay.fill_(decay)

    def write(self, path: Path, identity: dict) -> None:
        """Keep all that the run needs to go on, whole or not at all.

        ``identity``, which is JSON-like, says which run it is.
        """
        state = {
            "run": json.dumps(identity),
            "precision": self.accelerator.mixed_precision,
            "step": self.step,
            "log": self.log,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict()["state"],
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
        self.step, self.log, self.seconds = state["step"], state["log"], state["seconds"]


def read_state(path: Path, identity: dict) -> dict:
    """What `Run.write` kept in ``path``, if it is the run of this identity."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        theirs, _ = json.loads(state["run"]), state["average"]  # which an earlier version did not keep
    except Exception as error:  # a damaged archive fails in many ways
        raise ValueError(
            f"cannot go on from {path}: it is damaged ({type(error).__name__}); remove it to start again"
        ) from error
    ours = json.loads(json.dumps(identity))
    differ = [
        f"{name} was {theirs.get(name)}, now {value}" for name, value in ours.items() if theirs.get(name) != value
    ]
    if differ:
        raise ValueError(f"{path.parent} holds another run ({'; '.join(differ)}); choose another folder")
    return state


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an event while the block runs, so that a step is never cut in two."""
    stop, before = threading.Event(), {}
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        before = {n: signal.signal(n, lambda *_: stop.set()) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
