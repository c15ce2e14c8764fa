"""How fast is the sampler in the reader's browser? Beside PyTorch, in the same minutes on the same cores.

    OMP_NUM_THREADS=2 python book/experiments/live.py [--tiny]

writes ``book/results/live.json`` and the table in ``book/live.md``: seconds a sample of ten steps with the page's own
workers and with `restore`, and the bytes that the page loads. It takes seven minutes on two CPU cores and needs
chromium. Ways that are compared take turns, and the fastest turn of each counts. ``--tiny`` is for the test: one small
size, printed and not written.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
from functools import partial
from typing import Any

import numpy as np
import torch
from common import ROOT, markdown, renew_table, save
from playwright.sync_api import Page, sync_playwright
from timing import fastest, machine, short

from ddpm_micro.checkpoint import load_model
from ddpm_micro.restore import restore

MODEL = "generalist"
SAMPLES = 2  # drawn by every way, so that two workers have one each
PAGE = ROOT / "book" / "live.md"

spec = importlib.util.spec_from_file_location("live_scripts", ROOT / "book" / "_ext" / "live.py")
scripts = importlib.util.module_from_spec(spec)
spec.loader.exec_module(scripts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="one small size: does the script run?")
    tiny = parser.parse_args().tiny
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        start_workers(page)
        records = [record for side in ((16,) if tiny else (64, 128, 256)) for record in compared(page, side, tiny)]
        found = {"machine": machine() | {"chromium": browser.version}, "bytes": weight(), "seconds_per_sample": records}
        browser.close()
    print(json.dumps(found, indent=1))
    if not tiny:
        save("live", found)
        renew_table("speed", table(found), PAGE)


def table(found: dict[str, Any]) -> str:
    """Seconds a sample; a row for each size of image."""
    ways = {("page", 1): "one worker", ("page", 2): "two workers"}
    ways |= {("PyTorch", 1): "PyTorch, one thread", ("PyTorch", 2): "PyTorch, two threads"}
    took = {(one["side"], one["by"], one["cores"]): one["seconds"] for one in found["seconds_per_sample"]}
    sides = sorted({side for side, *_ in took})
    rows = [[f"{side} x {side} pixels", *(f"{took[(side, *way)]:.2g} s" for way in ways)] for side in sides]
    return markdown(["one sample", *ways.values()], rows)


def weight() -> dict[str, int]:
    """Bytes that the page loads, without the book around it: at once, and when a model is chosen."""
    sizes = {name: len(script.encode()) for name, script in scripts.scripts().items()}
    return {"at once": sizes["live.js"], f"model {MODEL}": sizes[f"weights_{MODEL}.js"]}


def start_workers(page: Page) -> None:
    """Two of the page's workers, which have loaded the model."""
    page.add_script_tag(content=scripts.source((*scripts.ENGINE, *scripts.FILES, "pool")))
    weights = scripts.half_precision(scripts.MODELS / f"{MODEL}.safetensors")
    page.evaluate(
        """async ({ code, kernels, weights, description }) => {
            const entries = Object.entries(kernels).map(([kind, text]) => [kind, fromBase64(text)]);
            const binaries = Object.fromEntries(entries);
            window.workers = [startWorker(code), startWorker(code)];
            const load = { binaries, weights: fromBase64(weights), description };
            await Promise.all(workers.map((worker) => worker.ask("load", load))); }""",
        {
            "code": scripts.source((*scripts.ENGINE, "worker")),
            "kernels": scripts.kernels(),
            "weights": scripts.text(weights),
            "description": scripts.descriptions()[MODEL],
        },
    )


def compared(page: Page, side: int, tiny: bool) -> list[dict[str, Any]]:
    """Seconds a sample of a square image, by the page and by PyTorch."""
    image = np.random.default_rng(0).poisson(30, (side, side)).astype(np.float32)
    model = load_model(MODEL).cpu()
    page.evaluate(
        """({ grey, side }) => Promise.all(workers.map((worker) =>
            worker.ask("image", { grey: Float64Array.from(grey), height: side, width: side })))""",
        {"grey": image.ravel().tolist(), "side": side},
    )
    ways = {("page", n): partial(in_page, page, n) for n in (1, 2)}
    ways |= {("PyTorch", n): partial(in_pytorch, model, image, n) for n in (1, 2)}
    seconds = fastest(ways, rounds=1 if tiny else {64: 9, 128: 5, 256: 3}[side])
    return [
        {"side": side, "by": by, "cores": cores, "seconds": short(took / SAMPLES)}
        for (by, cores), took in seconds.items()
    ]


def in_page(page: Page, workers: int) -> None:
    """Each worker draws its share of the samples."""
    page.evaluate(
        """({ count, samples }) => Promise.all(workers.slice(0, count).map(async (worker, first) => {
            for (let k = first; k < samples; k += count) await worker.ask("sample", { seed: 0, k }); }))""",
        {"count": workers, "samples": SAMPLES},
    )


def in_pytorch(model: torch.nn.Module, image: np.ndarray, threads: int) -> None:
    torch.set_num_threads(threads)
    restore(model, image, samples=SAMPLES, progress=False)


if __name__ == "__main__":
    main()
