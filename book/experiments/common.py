"""What the scripts in this folder share: where things lie, a pool of processes, JSON, and the tables in README.md."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ddpm_micro import metrics
from ddpm_micro.files.atomic import atomic_write

ROOT = Path(__file__).resolve().parents[2]
README, RESULTS, IMAGES, RUNS = ROOT / "README.md", ROOT / "book/results", ROOT / "book/images", ROOT / "runs"
RIVALS = Path(__file__).parent / "rivals"

TITLES = {  # of the methods, as README.md calls them
    "raw": "raw",
    "gaussian": "Gaussian",
    "gaussian_oracle": "best Gaussian",
    "nlm": "non-local means",
    "tv": "total variation",
    "tv_oracle": "best total variation",
    "richardson_lucy": "Richardson-Lucy",
    "n2v": "Noise2Void",
    "care": "CARE (regression)",
    "ddpm": "one sample",
    "ddpm_avg": "mean of 15",
    "ddpm_pair": "mean of 2, antithetic",
    "ddpm_pairs": "mean of 4, antithetic",
    "one_call": "one call",
    "tuned_avg": "fine-tuned, mean of 15",
}


def processes(most: int | None = None) -> ProcessPoolExecutor:
    """A pool of processes, by default one a core, in each of which PyTorch computes on one thread."""
    spawn = get_context("spawn")
    return ProcessPoolExecutor(most, mp_context=spawn, initializer=torch.set_num_threads, initargs=(1,))


def load(name: str) -> Any:
    """The contents of ``book/results/NAME.json``."""
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def save(name: str, records: Any, folder: Path = RESULTS) -> None:
    """Write ``NAME.json`` whole; a number that is nan becomes null."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / f"{name}.json", overwrite=True) as temporary:
        temporary.write_text(json.dumps(without_nan(records), indent=1, allow_nan=False) + "\n", "utf-8")


def without_nan(value: Any) -> Any:
    """The same value with None in the place of each nan, for which JSON has no word."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the first column holds the names of the rows."""
    lines = ["| " + " | ".join(line) + " |" for line in (head, *rows)]
    return "\n".join([lines[0].replace("|  |", "| |", 1), "|---" * len(head) + "|", *lines[1:]]) + "\n"


def renew_table(name: str, table: str, page: Path = README) -> None:
    """Put a table between ``<!-- NAME table -->`` and ``<!-- end -->`` in README.md or another page."""
    page.write_text(with_table(page.read_text("utf-8"), name, table), "utf-8")


def with_table(text: str, name: str, table: str) -> str:
    """The text with this table between its marks."""
    marks = re.compile(rf"(<!-- {name} table -->\n).*?(<!-- end -->)", re.DOTALL)
    if not marks.search(text):
        raise ValueError(f"expected the marks <!-- {name} table --> and <!-- end --> in the text, got none")
    return marks.sub(lambda found: found[1] + table + found[2], text)


def psnr(truth: np.ndarray, image: np.ndarray) -> float:
    """In dB; the data range is the truth's own."""
    return metrics.psnr(truth, image, data_range=float(truth.max()) - float(truth.min()))


def mean_psnr(high: np.ndarray, images: np.ndarray) -> float:
    """PSNR in dB, averaged over the images (N, H, W); the data range of each is that of its truth."""
    return round(float(np.mean([psnr(truth, image) for truth, image in zip(high, images, strict=True)])), 2)


def ratio_of_means(spreads: Sequence[metrics.SpreadSkill], scales: Sequence[float] | float = 1.0) -> float:
    """V/B over several images: the mean of V over the mean of B, each in units of its image's squared scale."""
    squared = np.broadcast_to(np.square(scales), len(spreads))
    v, b = (np.mean([getattr(s, part) for s in spreads] / squared) for part in ("sample_variance", "bias_variance"))
    return float(v / b)
