"""Run the chapters, several at a time, and lay their outputs where the build of the book finds them.

A chapter runs as it stands, with nothing solved. Then the same kernel, which has all its variables, shows sliders and
questions as JupyterLab would and solves the exercises; tests/test_chapters.py judges what came of that.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbmake.nb_run import NotebookRun
from offline import MODE, ROOT, cache_folder

CHECK = re.compile(r"^checks\.(\w+)\((\w+)\)$", re.MULTILINE)  # checks.NAME(FUNCTION)
PREDICT = re.compile(r'^checks\.predict\("(\w+)"\)$', re.MULTILINE)
SECONDS = 300  # a cell may take
OWN = """
import resource
used = resource.getrusage(resource.RUSAGE_SELF)
own = used.ru_utime + used.ru_stime  # of the chapter as it stands
"""
LIVE = """
import os
from ddpm_micro.teach import slider
del os.environ["DDPM_MICRO_SLIDERS"]
live = [slider._live(shown) for shown in list(Out.values()) if isinstance(shown, slider.FrameStrip)]
"""
LAST = """
import json, resource, sys
from ddpm_micro.teach import checks
used = resource.getrusage(resource.RUSAGE_SELF)  # the peak: in KiB on Linux, in bytes on macOS
mib = used.ru_maxrss / 2 ** (20 if sys.platform == "darwin" else 10)
print(json.dumps({
    "progress": checks.progress(), "sliders": len(live), "mib": mib,
    "seconds": used.ru_utime + used.ru_stime, "own": own,
}))
"""


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def epilogue(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The cells that run after a chapter; an error in one is told, and stops nothing."""
    sources = [cell.source for cell in code_cells(notebook)]
    asked = [source for source in sources if PREDICT.search(source)]
    solved = [CHECK.sub(r'\2 = checks.answer("\1")' + r"\n\g<0>", source) for source in sources if CHECK.search(source)]
    tags = {"tags": ["raises-exception"]}
    return [nbformat.v4.new_code_cell(source, metadata=tags) for source in (OWN, LIVE, *asked, *solved, LAST)]


def run(path: Path) -> tuple[nbformat.NotebookNode | None, dict]:
    """Run one chapter.

    Returns
    -------
    NotebookNode or None
        The chapter with its outputs; None if a cell of it failed.
    dict
        ``error``, the first error met; if there is none, what `LAST` tells.
    """
    notebook = nbformat.read(path, as_version=4)
    own = len(code_cells(notebook))
    longer = nbformat.from_dict({**notebook, "cells": notebook.cells + epilogue(notebook)})
    # Within the checkout, since a chapter looks there for the measured results.
    copy = ROOT / "build" / "chapters" / path.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(longer, copy)
    result = NotebookRun(copy, default_timeout=SECONDS).execute()
    if result.error:
        return None, {"error": f"{result.error.summary}\n{result.error.trace}"}
    # The book then colours the lines that only IPython knows, such as "!git".
    notebook.metadata["language_info"] = result.nb.metadata["language_info"]
    ran = code_cells(result.nb)
    for cell, other in zip(code_cells(notebook), ran):
        cell.outputs, cell.execution_count = other.outputs, other.execution_count
    wrong = ["\n".join(out.traceback) for cell in ran[own:] for out in cell.outputs if out.output_type == "error"]
    return notebook, {"error": wrong[0]} if wrong else json.loads(ran[-1].outputs[0].text)


def main() -> int:
    cache = get_cache(cache_folder())
    known = {record.hashkey for record in cache.list_cache_records()}
    paths = [
        path
        for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
        if cache.create_hashed_notebook(nbformat.read(path, as_version=4))[1] not in known
    ]
    if not paths:
        return 0
    cores = os.cpu_count() or 1
    workers = min(cores, 4, len(paths))  # a chapter takes up to 1 GB of memory
    os.environ["DDPM_MICRO_SLIDERS"] = MODE  # the kernels inherit both
    os.environ.setdefault("OMP_NUM_THREADS", str(cores // workers))
    print(
        f"running {len(paths)} chapters, {workers} at a time; after a change, only what it touches runs again",
        flush=True,
    )
    start, failed = time.perf_counter(), 0
    with ProcessPoolExecutor(workers) as pool:
        running = {pool.submit(run, path): path for path in sorted(paths, key=lambda path: -path.stat().st_size)}
        for done, future in enumerate(as_completed(running), 1):
            path, (notebook, report) = running[future], future.result()
            print(f"  {done:2d} of {len(paths)}  {path.stem:22s}{time.perf_counter() - start:5.0f} s", flush=True)
            if notebook is None:
                failed += 1
                print(report["error"], file=sys.stderr)
            else:
                bundle = CacheBundleIn(notebook, str(path), data={"after": report})
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
