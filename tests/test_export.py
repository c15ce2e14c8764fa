"""Models for other programs: what ONNX Runtime, TorchScript and bioimageio.core make of the package is what PyTorch makes."""

import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch

from ddpm_micro.checkpoint import load_model, save_model
from ddpm_micro.cli import main
from ddpm_micro.export import export
from ddpm_micro.model import Model
from ddpm_micro.restore import restore
from ddpm_micro.schedule import cosine_schedule
from ddpm_micro.unet import UNetConfig

pytestmark = pytest.mark.filterwarnings("ignore")  # of bioimageio's and torch's own, about each other
ROOT = Path(__file__).parent.parent
RNG = np.random.default_rng(0)


def specimen(height: int, width: int) -> np.ndarray:
    return RNG.poisson(20 + 15 * np.sin(np.arange(width) / 4) + np.arange(height)[:, None]).astype(np.float32)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "generalist.zip"
    assert main(["export", "generalist", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def files(package: Path) -> Path:
    folder = package.with_suffix("")
    zipfile.ZipFile(package).extractall(folder)
    return folder


@pytest.mark.parametrize("shape", [(64, 64), (37, 50), (130, 24)])
def test_both_weights_give_the_one_call_mean(files: Path, shape: tuple[int, int]) -> None:
    import onnxruntime

    image = specimen(*shape)
    right = load_model("generalist").cpu().posterior_mean(image)
    onnx = onnxruntime.InferenceSession(files / "weights.onnx").run(None, {"image": image[None, None]})[0]
    script = torch.jit.load(files / "weights.pt")(torch.from_numpy(image)[None, None]).detach().numpy()
    for came in (onnx, script):
        np.testing.assert_allclose(came[0, 0], right, atol=1e-4 * np.ptp(right), rtol=0)


def test_bioimageio_accepts_and_runs_it(package: Path) -> None:
    from bioimageio.core import create_prediction_pipeline, load_model_description
    from bioimageio.core import test_description as examine
    from bioimageio.core.digest_spec import create_sample_for_model

    assert examine(package).status == "passed"
    model, image = load_model_description(package, perform_io_checks=False), specimen(40, 56)
    sample = create_sample_for_model(model, inputs={"image": image[None, None]})
    with create_prediction_pipeline(model) as pipeline:
        came = pipeline.predict_sample_without_blocking(sample).members["mean"].data
    right = load_model("generalist").cpu().posterior_mean(image)
    np.testing.assert_allclose(np.asarray(came)[0, 0], right, atol=1e-4 * np.ptp(right), rtol=0)


def test_it_says_what_it_is_and_is_not(files: Path) -> None:
    told = (files / "README.md").read_text("utf-8") + (files / "rdf.yaml").read_text("utf-8")
    told = " ".join(told.split())
    for words in ("draws no samples", "at most 1024 x 1024", '"steps": ', "BSD-3-Clause", "arxiv.org/abs/2006.11239"):
        assert words in told


def test_a_model_of_your_own_without_the_scaling(tmp_path: Path) -> None:
    """Network values go in and come out; a constant image and one of other brightness are the user's affair."""
    torch.manual_seed(0)
    model = Model(UNetConfig(8, (1, 2), 1, (1,)), cosine_schedule(40), prediction="x0").eval()
    torch.nn.init.constant_(model.unet.gain_out, 0.5)
    save_model(model, tmp_path / "my model, 2.safetensors")
    own, out = str(tmp_path / "my model, 2.safetensors"), tmp_path / "own.zip"
    assert main(["export", own, str(out), "--network-values"]) == 0
    zipfile.ZipFile(out).extractall(tmp_path / "own")
    cond = torch.randn(1, 1, 20, 31)
    came = torch.jit.load(tmp_path / "own" / "weights.pt")(cond)
    with torch.no_grad():
        right = model(torch.zeros_like(cond), torch.tensor([39]), cond)
    torch.testing.assert_close(came, right, atol=1e-5, rtol=0)
    assert "in network values" in (tmp_path / "own" / "README.md").read_text("utf-8")


def test_a_constant_image_stays_what_it_is(files: Path) -> None:
    flat = torch.full((1, 1, 24, 24), 7.0)
    came = torch.jit.load(files / "weights.pt")(flat)
    assert torch.isfinite(came).all() and (came - 7).abs().max() < 3  # scaled by 1, as the package does


def test_the_function_for_napari(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's lines as they stand, with napari and magicgui played by stand-ins: what the window would be given."""
    page = (ROOT / "book" / "elsewhere.md").read_text("utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    for name in ("napari", "napari.layers", "napari.types", "magicgui"):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    sys.modules["magicgui"].magicgui = lambda **options: lambda function: function
    names: dict = {}
    exec(code, names)
    image = SimpleNamespace(data=specimen(20, 24), name="cells", scale=(0.1, 0.1))
    (mean, about_mean, kind), (std, about_std, _) = names["restored"](image, samples=2)
    right = restore(load_model("generalist"), image.data, samples=2, progress=False)
    np.testing.assert_array_equal(mean, right.mean)
    np.testing.assert_array_equal(std, right.std)
    assert (about_mean, about_std["name"], kind) == (
        {"name": "cells, mean", "scale": (0.1, 0.1)},
        "cells, standard deviation",
        "image",
    )
    sys.modules["napari"].run.assert_called_once()


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "generalist", str(tmp_path / "out.onnx")]) == 2
    assert "expected a name that ends in .zip, got out.onnx" in capsys.readouterr().err
    (tmp_path / "there.zip").write_bytes(b"mine")
    assert main(["export", "generalist", str(tmp_path / "there.zip")]) == 2
    assert "there.zip exists" in capsys.readouterr().err and (tmp_path / "there.zip").read_bytes() == b"mine"
    eps = Model(UNetConfig(8, (1,), 1, ()), cosine_schedule(40), prediction="eps")
    with pytest.raises(ValueError, match="expected a model that predicts v or x0, got eps"):
        export(eps, tmp_path / "eps.zip", name="eps")
    assert not (tmp_path / "eps.zip").exists()


@pytest.mark.parametrize("method", ["care", "n2v"])
def test_a_network_that_answers_at_once(tmp_path: Path, method: str) -> None:
    import onnxruntime

    own, image = ROOT / "book" / "experiments" / "rivals" / f"{method}_zebrafish", specimen(30, 45)
    assert main(["export", str(own), str(tmp_path / "own.zip")]) == 0
    zipfile.ZipFile(tmp_path / "own.zip").extractall(tmp_path / "own")
    came = onnxruntime.InferenceSession(tmp_path / "own" / "weights.onnx").run(None, {"image": image[None, None]})[0]
    right = load_model(own).cpu().posterior_mean(image)
    np.testing.assert_allclose(came[0, 0], right, atol=1e-4 * np.ptp(right), rtol=0)
    told = (tmp_path / "own" / "README.md").read_text("utf-8")
    assert "The answer comes at once" in told and "diffusion model" not in told
