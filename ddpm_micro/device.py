"""Where to compute, and with how many bits. Each choice comes with its reason, to be shown to the user."""

from __future__ import annotations

import os
import time
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from accelerate import PartialState


PIXELS_AT_ONCE = 2**17  # that go through the network on a CPU: the micro network takes half a gigabyte for them
BYTES_PER_PIXEL = 2**12  # that the micro network takes in float32


def choose_device() -> tuple[torch.device, str]:
    """CUDA where there is one, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda"), f"CUDA GPU {torch.cuda.get_device_name()}"
    if torch.backends.mps.is_available():
        return torch.device("mps"), "Apple GPU"
    return torch.device("cpu"), f"no GPU found, CPU threads: {torch.get_num_threads()}"


def processes() -> PartialState:
    """The processes of this run, in accelerate's words; left alone, it would let several on a CPU run side by side."""
    from accelerate import PartialState  # takes a second to load, and most commands have one process
    from accelerate.utils import parse_flag_from_env

    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU") or (several and not torch.cuda.is_available()))


def choose_precision(device: torch.device, asked: str = "auto") -> tuple[str, str]:
    """``"bf16"`` or ``"no"`` (float32) for training, in accelerate's words, and why: as asked, else the fastest."""
    if asked != "auto":
        return asked, "as asked"
    if device.type == "cuda":
        if torch.version.hip or torch.cuda.get_device_capability(device) >= (8, 0):
            return "bf16", "the GPU computes in bfloat16"
        return "no", "the GPU has no bfloat16"
    if device.type == "cpu":
        gain = _cpu_bf16_gain()
        if gain > 1.1:
            return "bf16", f"measured {gain:.2g} times as fast as float32 on this CPU"
        return "no", f"bfloat16 measured {gain:.2g} times as fast as float32 on this CPU"
    return "no", f"float32 on {device.type}"


def autocast(precision: str) -> torch.autocast:
    """A context in which networks compute with so many bits, on the device of `choose_device`."""
    return torch.autocast(choose_device()[0].type, torch.bfloat16, enabled=precision == "bf16")


def pixels_at_once(device: torch.device) -> int:
    """How many pixels should go through the network at once: a CPU gains nothing from more, a GPU is filled by them.

    They take a sixteenth of a GPU's memory, which leaves room for networks larger than the micro network.
    """
    if device.type != "cuda":
        return PIXELS_AT_ONCE
    return max(PIXELS_AT_ONCE, torch.cuda.get_device_properties(device).total_memory // 16 // BYTES_PER_PIXEL)


@lru_cache(maxsize=1)
def _cpu_bf16_gain() -> float:
    """Time of a training-like convolution in float32 over that in bfloat16.

    Measured and not looked up: the same instruction set can be fast or slow, and without one PyTorch falls back
    to code a hundred times slower.
    """

    def seconds(dtype: torch.dtype) -> float:
        x = torch.ones(2, 24, 32, 32, dtype=dtype).to(memory_format=torch.channels_last)
        weight = torch.ones(24, 24, 3, 3, dtype=dtype, requires_grad=True)
        start = time.perf_counter()
        F.conv2d(x, weight, padding=1).sum().backward()
        return time.perf_counter() - start

    # In turns, and the best of each: other work on the machine slows both alike.
    single, half = zip(*((seconds(torch.float32), seconds(torch.bfloat16)) for _ in range(10)), strict=True)
    return min(single) / min(half)
