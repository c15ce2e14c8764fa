"""What `speed.py` and `live.py` share: ways that take turns, and the machine that they were timed on."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Hashable, Mapping
from datetime import date
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

Way = TypeVar("Way", bound=Hashable)


def fastest(ways: Mapping[Way, Callable], rounds: int, repeats: int = 1, warm_up: int = 1) -> dict[Way, float]:
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


def wait() -> None:
    """Until the GPU, if there is one, has done what was asked of it."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def short(number: float) -> float:
    """Three digits."""
    return float(f"{number:.3g}")


def machine() -> dict[str, str | int]:
    """What was measured on, and when."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else cpu,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": date.today().isoformat(),
    }
