"""A Sphinx extension: the book's sliders need no kernel, its pages no other host, and a chapter runs when it has to."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

ROOT = Path(__file__).resolve().parent.parent.parent
MODE = "frames"  # see ddpm_micro.teach.slider


def cache_folder() -> Path:
    """Where outputs are kept, by what they depend on besides a chapter's cells: package, weights, results and mode."""
    digest = hashlib.sha256(MODE.encode())
    for file in sorted([*(ROOT / "ddpm_micro").rglob("*"), *(ROOT / "book" / "results").glob("*.json")]):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes())
    return ROOT / "book" / "_build" / ".jupyter_cache" / f"{MODE}-{digest.hexdigest()[:16]}"


def configure(app: Sphinx, config: Config) -> None:
    os.environ["DDPM_MICRO_SLIDERS"] = MODE  # the kernels inherit it
    # The cache of its own accord looks at a notebook's cells alone.
    config.nb_execution_cache_path = str(cache_folder())


def drop_thebe(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Leave out the scripts of thebe, which would run cells on somebody else's server and come twice."""

    def is_thebe(script: object) -> bool:
        return "thebe" in f"{script} {getattr(script, 'attributes', '')}".lower()

    context["script_files"] = [script for script in context["script_files"] if not is_thebe(script)]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", configure, priority=0)
    app.connect("html-page-context", drop_thebe, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
