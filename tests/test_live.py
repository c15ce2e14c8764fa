"""The sampler in the book's page: each part against the package's own Python, in a real browser."""

import base64
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from browser import chromium
from playwright.sync_api import Browser, Page

from ddpm_micro.checkpoint import load_model, save_model, shipped_models
from ddpm_micro.intensity import Percentiles, faulty_pixels
from ddpm_micro.model import Model
from ddpm_micro.noise import noise_like, seeded
from ddpm_micro.restore import restore
from ddpm_micro.samplers import sample_dpmpp_2m
from ddpm_micro.schedule import cosine_schedule, linear_schedule
from ddpm_micro.tiling import tiled, windows
from ddpm_micro.unet import UNetConfig

ROOT = Path(__file__).parent.parent
RNG = np.random.default_rng(0)


def extension() -> ModuleType:
    """The Sphinx extension that makes the page's scripts."""
    spec = importlib.util.spec_from_file_location("live", ROOT / "book" / "_ext" / "live.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LIVE = extension()

# Numbers travel as text: arrays become { shape, data }, and arrays in answers come back as they were.
HELPERS = """
const numbers = (text) => new Float64Array(fromBase64(text).buffer);
const pack = (array) => { const raw = new Uint8Array(Float64Array.from(array).buffer); let text = "";
  for (let i = 0; i < raw.length; i += 8192) text += String.fromCharCode(...raw.subarray(i, i + 8192)); return btoa(text); };
"""


class Engine:
    """The engine in a blank page."""

    def __init__(self, browser: Browser) -> None:
        self.page: Page = browser.new_page()
        self.page.add_script_tag(content=LIVE.source(LIVE.ENGINE) + HELPERS)

    def load(self, model: Path, weights: bytes, *, kernels: str = "relaxed") -> None:
        description = (ROOT / model).with_suffix(".json").read_text("utf-8")
        binary = LIVE.kernels()
        binaries = {"plain": binary["plain"]} | ({"relaxed": binary["relaxed"]} if kernels == "relaxed" else {})
        self.page.evaluate(
            """async ([kernels, weights, description]) => {
                const binaries = Object.fromEntries(Object.entries(kernels).map(([name, text]) => [name, fromBase64(text)]));
                window.K = await loadKernels(binaries);
                if (weights) window.model = makeModel(K, fromBase64(weights), JSON.parse(description)); }""",
            [binaries, LIVE.text(weights), description],
        )

    def __call__(self, body: str, *arguments: object) -> list[np.ndarray]:
        """Run the body of a function of (a, b, ...), which returns a list of arrays."""
        sent = [LIVE.text(np.asarray(a, np.float64).tobytes()) if isinstance(a, np.ndarray) else a for a in arguments]
        names = "abcdefgh"[: len(arguments)]
        read = [f"{n} = numbers({n});" for n, a in zip(names, arguments) if isinstance(a, np.ndarray)]
        code = f"([{', '.join(names)}]) => {{ {' '.join(read)} return (() => {{ {body} }})().map(pack); }}"
        return [np.frombuffer(base64.b64decode(text)) for text in self.page.evaluate(code, sent)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def engine(browser: Browser) -> Engine:
    return Engine(browser)


@pytest.mark.parametrize("key", [(0, 0), (3, 14), (2**40 + 5, 2), (1, 2, 3, 4, 5)])
@pytest.mark.parametrize("size", [16, 31, 4096])
def test_noise_is_that_of_python(engine: Engine, key: tuple[int, ...], size: int) -> None:
    (noise,) = engine("return [normalNoise(a, ...b)];", size, list(key))
    np.testing.assert_allclose(noise, noise_like(torch.empty(size), seeded(*key)), atol=2e-6)


@pytest.mark.parametrize("schedule", [cosine_schedule(200), cosine_schedule(40, 0.02), linear_schedule(1000)])
def test_schedule_is_that_of_python(engine: Engine, schedule: object) -> None:
    steps = [1, 2, 3, 7, 10, 16, 20, 39, 40]
    alpha_bar, *times = engine(
        "const s = alphasCumprod(a); return [s, ...b.map((steps) => timesteps(s, steps))];", schedule.config, steps
    )
    np.testing.assert_allclose(alpha_bar, schedule.alphas_cumprod, rtol=1e-9)
    for count, came in zip(steps, times, strict=True):
        np.testing.assert_array_equal(came, schedule.timesteps(count))


def faulty(kind: str) -> np.ndarray:
    """A dim image with the faults of real cameras and of masks."""
    image = RNG.poisson(20 + 10 * np.sin(np.arange(60) / 5), (50, 60)).astype(np.float64)
    if kind == "hot":
        image[[3, 30, 44], [0, 20, 59]] = 60_000
    elif kind == "dead line":
        image[17] = -4000
    elif kind == "mask":
        image[20:, 35:] = 0
    elif kind == "bead":
        image += 2e4 * np.exp(-((np.mgrid[-20:30, -20:40] / 6.0) ** 2).sum(0))
        image = np.minimum(image, 4095)
    elif kind == "border":
        image[:, :12] = 33.5
    elif kind == "few values":
        image = RNG.integers(0, 4, (50, 60)).astype(np.float64)
    elif kind == "constant":
        image = np.full((8, 8), 0.1)
    return image


@pytest.mark.parametrize("kind", ["none", "hot", "dead line", "mask", "bead", "border", "few values", "constant"])
def test_scaling_is_that_of_python(engine: Engine, kind: str) -> None:
    image, percentiles = faulty(kind), {"low": 1.0, "high": 99.9, "smoothing_px": 1.5}
    mask, scaled, values, grey = engine(
        """const s = fitScaling(a, b, c, d), values = toValues(s, b, c);
        return [s.faulty, [s.offset, s.scale], values, toGrey(s, values.map((v) => v + 1))];""",
        image, *image.shape, percentiles,
    )  # fmt: skip
    right_values, right = Percentiles(**percentiles).values(image)
    np.testing.assert_array_equal(mask.reshape(image.shape), faulty_pixels(image))
    np.testing.assert_allclose(scaled, [right.offset, right.scale], rtol=1e-9)
    np.testing.assert_allclose(values.reshape(image.shape), right_values, atol=1e-5)
    np.testing.assert_allclose(grey.reshape(image.shape), right.invert(right_values.astype(np.float64) + 1), rtol=1e-5)
    assert mask.any() == (kind not in {"none", "few values"})


@pytest.mark.parametrize(("side", "tile"), [(192, 192), (193, 192), (512, 192), (1024, 192), (57, 16)])
def test_windows_are_those_of_python(engine: Engine, side: int, tile: int) -> None:
    starts, *weights = engine(
        "const w = windows(a, b); return [w.map((one) => one.start), ...w.map((one) => one.weights)];", side, tile
    )
    right = windows(side, tile, tile // 6)
    assert starts.tolist() == [start for start, _ in right]
    np.testing.assert_allclose(weights, [weight for _, weight in right], rtol=1e-12)


KERNEL = """
    const give = (array) => { const at = K.alloc(array.length); K.floats(at, array.length).set(array); return at; };
    const take = (at, size) => Array.from(K.floats(at, size));
"""


@pytest.mark.parametrize("kernels", ["plain", "relaxed"])
@pytest.mark.parametrize("shape", [(3, 5, 8, 8), (10, 4, 7, 13), (5, 1, 1, 3), (6, 9, 18, 33)])
def test_kernels_do_what_torch_does(engine: Engine, kernels: str, shape: tuple[int, ...]) -> None:
    inputs, outputs, height, width = shape
    engine.load(LIVE.MODELS / "generalist", b"", kernels=kernels)
    x, add = RNG.normal(0, 2, (inputs, height, width)), RNG.normal(size=(outputs, height, width))
    scale, filters = RNG.uniform(0.5, 2, inputs), RNG.normal(size=(outputs, inputs, 3, 3))
    body = """const [I, O, H, W] = e, [rows, stride] = [H + 3, W + 12];
        const framed = K.alloc(I * rows * stride), out = K.alloc(O * H * W), one = K.alloc(O * H * W), scratch = K.alloc(256 * I);
        const [x, add] = [give(a), give(b)], terms = (side) => give(filterTerms(side === 3 ? d : d.subarray(0, O * I), O, I, side));
        K.frame(x, framed, I, H, W, rows, stride, 1, give(c));
        K.conv3(framed, terms(3), out, I, O, H, W, rows, stride, add, 0.7, scratch);
        K.conv1(x, terms(1), one, I, O, H * W, 0, 0, scratch);
        K.unit(x, I, H * W);
        return [take(out, O * H * W), take(one, O * H * W), take(x, I * H * W)];"""
    conv3, conv1, unit = engine(KERNEL + body, x, add, scale, filters, list(shape))
    x, add, scale, filters = (torch.from_numpy(array).double() for array in (x, add, scale, filters))
    right = F.conv2d(F.silu(x * scale[:, None, None])[None], filters, padding=1)[0] + 0.7 * add
    np.testing.assert_allclose(conv3, right.ravel(), atol=2e-5)
    right = torch.einsum("oi,ihw->ohw", filters.ravel()[: outputs * inputs].reshape(outputs, inputs), x)
    np.testing.assert_allclose(conv1, right.ravel(), atol=1e-5)
    np.testing.assert_allclose(unit, (x / (x.square().mean(0).sqrt() + 1e-4)).ravel(), atol=1e-5)


@pytest.mark.parametrize(("channels", "size"), [(5, 4), (24, 30), (17, 65), (6, 300)])
def test_attention_is_softmax(engine: Engine, channels: int, size: int) -> None:
    engine.load(LIVE.MODELS / "generalist", b"")
    q, k, v = qkv = RNG.normal(0, 2, (3, channels, size))
    body = """const out = K.alloc(b * c), scratch = K.alloc(attentionScratch(b, c));
        K.attend(give(a), out, b, c, scratch); return [take(out, b * c)];"""
    (came,) = engine(KERNEL + body, qkv, channels, size)
    right = F.scaled_dot_product_attention(*(torch.from_numpy(part.T.copy())[None] for part in (q, k, v)))[0].T
    np.testing.assert_allclose(came, right.ravel(), atol=1e-5)


@pytest.mark.parametrize("prediction", ["v", "eps", "x0"])
def test_network_of_another_shape(engine: Engine, tmp_path: Path, prediction: str) -> None:
    """Three levels, two blocks a level, attention at two levels, and an image that neither side's halving fits."""
    torch.manual_seed(0)
    model = Model(UNetConfig(8, (1, 2, 2), 2, (1, 2)), cosine_schedule(50), prediction=prediction).eval()
    for name, parameter in model.named_parameters():
        torch.nn.init.constant_(parameter, 0.7) if "gain" in name else None
    save_model(model, tmp_path / "other.safetensors")
    engine.load(tmp_path / "other", (tmp_path / "other.safetensors").read_bytes())
    xt, cond = RNG.normal(size=(2, 21, 30)).astype(np.float32)
    for t in (0, 30, 49)[: 2 if prediction == "eps" else 3]:  # at t = T, eps is all but x_t: rounding is blown up
        (came,) = engine("return [model.denoise(Float32Array.from(a), Float32Array.from(b), c, 21, 30)];", xt, cond, t)
        with torch.no_grad():
            right = model(
                *(torch.from_numpy(part)[None, None] if np.ndim(part) else torch.tensor([t]) for part in (xt, t, cond))
            )
        np.testing.assert_allclose(came.reshape(21, 30), right[0, 0], atol=2e-5)


def specimen(height: int, width: int) -> np.ndarray:
    """A dim picture with some structure, in photons."""
    y, x = np.mgrid[:height, :width]
    return RNG.poisson(4 + 12 * (np.sin(y / 5 + np.cos(x / 7)) > 0.6)).astype(np.float64)


SHAPES = [(32, 48), (33, 19), (8, 70), (28, 28), (17, 24)]


@pytest.mark.parametrize(("name", "shape"), list(zip(shipped_models(), SHAPES, strict=True)))
def test_samples_are_those_of_restore(engine: Engine, name: str, shape: tuple[int, int]) -> None:
    weights, image, seed = LIVE.MODELS / f"{name}.safetensors", specimen(*shape), 5
    model = load_model(name).cpu()
    right = restore(model, image, samples=2, seed=seed, keep_samples=True, progress=False)
    expected = [*right.samples, right.mean, right.std, model.posterior_mean(image, seed=seed)]
    for file, bound in ((weights.read_bytes(), 1e-5), (LIVE.half_precision(weights), 1e-3)):
        engine.load(LIVE.MODELS / name, file)
        results = engine(
            """const r = makeRestoration(model, a, b, c), samples = [0, 1].map((k) => r.sample(d, k));
            const { mean, std } = meanAndStd(samples, r.scaling), grey = (x) => toGrey(r.scaling, x);
            return [...samples.map(grey), mean, std, grey(r.posteriorMean(d))];""",
            image, *shape, seed,
        )  # fmt: skip
        for came, wanted in zip(results, expected, strict=True):
            np.testing.assert_allclose(came.reshape(shape), wanted, atol=bound * np.ptp(right.mean), rtol=0)


def test_a_large_image_is_sampled_in_tiles(engine: Engine) -> None:
    """The steps on the way, too: every x_t and x0_hat."""
    engine.load(LIVE.MODELS / "generalist", (LIVE.MODELS / "generalist.safetensors").read_bytes())
    image, shape = specimen(8, 196), (8, 196)
    steps = engine(
        """const r = makeRestoration(model, a, b, c), steps = [];
        r.sample(0, 1, (step, t, x, x0Hat) => steps.push(x, x0Hat)); return steps;""", image, *shape
    )  # fmt: skip
    model, right = load_model("generalist").cpu(), []
    (cond, _), *_ = model.planes(image)
    with torch.no_grad():
        sample_dpmpp_2m(
            tiled(model, 192),
            model.schedule,
            cond,
            generator=[seeded(0, 1)],
            callback=lambda _, __, *two: right.extend(two),
        )
    for came, wanted in zip(steps, right, strict=True):
        np.testing.assert_allclose(came.reshape(shape), wanted[0, 0], atol=5e-5)


def test_the_scripts_are_formatted_and_linted(tmp_path: Path) -> None:
    """`oxfmt` in book/_static/live formats them; what the linter reads is what the page and its workers run."""
    programs = Path(sys.executable).parent
    scripts = [f"{name}.js" for name in (*LIVE.ENGINE, *LIVE.FILES, *LIVE.PAGE, "worker")]
    formatted = subprocess.run([programs / "oxfmt", "--check", *scripts], cwd=LIVE.SOURCES, capture_output=True)
    assert formatted.returncode == 0, formatted.stdout.decode()
    globals_ = '"use strict";\nconst [ENGINE, EXAMPLES, WEIGHTS] = [{}, {}, {}];\n'
    joined = LIVE.source((*LIVE.ENGINE, *LIVE.FILES, *LIVE.PAGE)) + "\n{\n" + LIVE.source(("worker",)) + "\n}\n"
    (tmp_path / "live.js").write_text(f"(() => {{\n{globals_}{joined}}})();\n", "utf-8")
    rules = {"categories": {"correctness": "error"}, "rules": {"no-undef": "error"}}
    config = rules | {"env": {"browser": True, "worker": True, "es2022": True}}
    (tmp_path / "oxlint.json").write_text(json.dumps(config), "utf-8")
    command = [programs / "oxlint", "--config", "oxlint.json", "--deny-warnings", "live.js"]
    linted = subprocess.run(command, cwd=tmp_path, capture_output=True)
    assert linted.returncode == 0, linted.stdout.decode()
