"""What makes a training run that can be stopped at any step and go on as if it had not been."""

from __future__ import annotations

import errno
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from ddpm_micro.files.atomic import atomic_write


class StopRequest:
    requested = False


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turn Ctrl-C and SIGTERM into a flag while the block runs, so that a step is never cut in two."""
    stop = StopRequest()

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
def seeded_dropout(generator: torch.Generator, dropout: float, device: torch.device) -> Iterator[None]:
    """Draw dropout masks from this step's seed and put the caller's random state back."""
    if not dropout:
        yield
        return
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        yield


def write_state(path: Path, state: dict) -> None:
    """Keep all that a run needs to go on, whole or not at all; ``state["run"]``, what run it is, is JSON-like."""
    with atomic_write(path, overwrite=True) as temporary:
        try:
            torch.save(state | {"run": json.dumps(state["run"])}, temporary)
        except RuntimeError as error:  # what torch makes of a full disk
            raise OSError(errno.EIO, "cannot write, the disk may be full", str(path)) from error


def read_state(path: Path, run: dict) -> dict:
    """The state in ``path``, if it is that of the same run."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        theirs = json.loads(state["run"])
    except Exception as error:  # a damaged archive fails in many ways
        raise ValueError(
            f"cannot go on from {path}: it is damaged ({type(error).__name__}); remove it to start again"
        ) from error
    ours = json.loads(json.dumps(run))
    differ = [
        f"{name} was {theirs.get(name)}, now {value}" for name, value in ours.items() if theirs.get(name) != value
    ]
    if differ:
        raise ValueError(f"{path.parent} holds another run ({'; '.join(differ)}); choose another folder")
    return state
