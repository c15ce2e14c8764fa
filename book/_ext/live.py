"""Puts the panel that restores the reader's image into the pages, and makes what it loads from book/_static/live.

A page has the panel where it says ``<div id="live-here"></div>``. JupyterLab and Colab show nothing there.

A page that was opened as a file may fetch nothing, and may start neither modules nor workers by their address. It can
load classic scripts. So the sources become one script, which holds a copy of the engine as text for the workers;
kernels, weights and examples become text too. The weights are written in half precision, which halves what the reader
loads.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save
from sphinx.application import Sphinx

from ddpm_micro import simulate

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ROOT / "book" / "_static" / "live"
MODELS = ROOT / "ddpm_micro" / "weights"
# In the order of reading. The engine runs in the workers; the page runs on top of it, in the reader's window.
ENGINE = ("noise", "schedule", "sampler", "faulty", "scaling", "tiling", "weights", "kernels", "unet", "model")
FILES = ("bytes", "pixel_size", "tiff_pixels", "tiff", "tiff_write", "png", "image")
EXAMPLE_SIDE = 96  # pixels
PAGE = ("pool", "draw", "show", "page")
HERE = '<div id="live-here"></div>'
# The script is loaded when the reader comes near the panel, since most readers of a chapter do not use it.
LOADER = """<script>
new IntersectionObserver((seen, observer) => {
  if (!seen.some((entry) => entry.isIntersecting)) return;
  observer.disconnect();
  document.head.append(Object.assign(document.createElement("script"), { src: "FOLDER/live.js" }));
}, { rootMargin: "600px" }).observe(document.getElementById("live"));
</script>"""


def source(names: tuple[str, ...]) -> str:
    """The named files, one after the other."""
    return "\n".join((SOURCES / f"{name}.js").read_text("utf-8") for name in names)


def example(name: str) -> dict[str, object]:
    """An image of a simulated set that no model was trained on, with its truth, as float16."""
    side = EXAMPLE_SIDE
    pairs = simulate.make_pairs(name, 1, size=side, seed=20)
    low, high = (text(images[0].astype(np.float16).tobytes()) for images in (pairs.low, pairs.high))
    nm = float(pairs.pixel_size_nm[0])
    return {"height": side, "width": side, "pixel_size_nm": nm, "low": low, "high": high}


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def half_precision(model: Path) -> bytes:
    """The weights of a .safetensors file as float16.

    The network scales each filter to root mean square 1, so its stored size is free. It is set to 1, where float16 is
    finest. Everything else is a handful of numbers and stays as it is.
    """
    tensors = load_file(model)
    for name, weight in tensors.items():
        if weight.ndim >= 2:
            norm = np.sqrt(np.mean(weight.astype(np.float64) ** 2, axis=tuple(range(1, weight.ndim)), keepdims=True))
            tensors[name] = (weight / (norm + 1e-4)).astype(np.float16)
    return save(tensors)


def kernels() -> dict[str, str]:
    """Both builds of kernels.c."""
    return {
        name: text((SOURCES / f"kernels{tail}.wasm").read_bytes())
        for name, tail in (("plain", ""), ("relaxed", "_relaxed"))
    }


def descriptions() -> dict[str, dict]:
    """What the engine has to know of each shipped model besides its weights."""
    keys = ("unet", "schedule", "prediction", "percentiles")
    sidecars = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(MODELS.glob("*.json"))}
    return {name: {key: sidecar[key] for key in keys} for name, sidecar in sidecars.items()}


def scripts() -> dict[str, str]:
    """The files that the page loads, by name: live.js at once, the weights of a model when it is chosen."""
    engine = {"worker": source((*ENGINE, "worker")), "kernels": kernels(), "models": descriptions()}
    examples = {name: example(name) for name in simulate.NAMES}
    live = [
        "(() => {",
        '"use strict";',
        f"const ENGINE = {json.dumps(engine)};",
        f"const EXAMPLES = {json.dumps(examples)};",
        "const WEIGHTS = (window.ddpmMicroWeights = {});",
        source((*ENGINE, *FILES, *PAGE)),
        "})();",
    ]
    weights = {path.stem: text(half_precision(path)) for path in sorted(MODELS.glob("*.safetensors"))}
    named = {f"weights_{name}.js": f'ddpmMicroWeights["{name}"] = "{data}";\n' for name, data in weights.items()}
    return {"live.js": "\n".join(live), **named}


def panel(folder: str) -> str:
    """The panel's HTML, whose scripts and style lie in ``folder``."""
    style = f'<link rel="stylesheet" href="{folder}/live.css">\n'
    return style + (SOURCES / "panel.html").read_text("utf-8") + LOADER.replace("FOLDER", folder)


def place(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    if HERE in context.get("body", ""):
        context["body"] = context["body"].replace(HERE, panel(context["pathto"]("_static/live", 1)))


def write(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        folder = Path(app.outdir) / "_static" / "live"
        folder.mkdir(parents=True, exist_ok=True)
        for name, script in scripts().items():
            (folder / name).write_text(script, "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", place)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
