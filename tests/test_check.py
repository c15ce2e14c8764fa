"""``ddpm-micro check``, and what training and evaluation do about its findings."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from ddpm_micro.checkpoint import save_model
from ddpm_micro.cli import main
from ddpm_micro.data import PairedPatches
from ddpm_micro.model import Model
from ddpm_micro.schedule import cosine_schedule
from ddpm_micro.simulate import make_pairs
from ddpm_micro.unet import UNetConfig

TRAIN = ["--steps", "1", "--batch-size", "1", "--patch", "16"]


def save(folder: Path, low: np.ndarray, high: np.ndarray | None) -> str:
    """Each plane as a file of its own."""
    for side, stack in (("low", low), ("high", high)):
        for number, image in enumerate(() if stack is None else stack):
            (folder / side).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(folder / side / f"c{number}.tif", image, photometric="minisblack", metadata=None)
    return str(folder)


@pytest.fixture(scope="module")
def fields() -> tuple[np.ndarray, np.ndarray]:
    """Low and high, (4, 64, 64), float32, with a camera's offset of 100."""
    pairs = make_pairs("zebrafish", 4, size=64, seed=2)
    return pairs.low + 100, pairs.high + 100


def table(capsys: pytest.CaptureFixture[str], folder: str) -> dict[str, str]:
    assert main(["check", folder]) == 0
    return dict(
        line.split(maxsplit=1) for line in capsys.readouterr().out.replace("empty planes", "empty").splitlines()
    )


def test_of_good_pairs_there_is_nothing_to_do(tmp_path: Path, fields: tuple, capsys) -> None:
    rows = table(capsys, save(tmp_path, *fields))
    assert set(rows) == {"pairs", "empty", "saturation", "shift", "brightness", "noise"}
    assert not any(": " in row for row in rows.values())
    assert rows["pairs"] == "4 planes in 4 files" and rows["empty"] == "none"
    assert float(rows["shift"].split()[0]) < 0.5 and int(rows["noise"].split("%")[0]) < 10


def test_each_fault_is_told_with_what_to_do(tmp_path: Path, fields: tuple, capsys) -> None:
    low, high = fields[0].astype(np.uint16), fields[1]
    moved = np.stack([np.roll(one, (8, -3), (0, 1)) for one in high])
    moved = np.minimum(20 * (moved - 100) + 100, 2500).astype(np.uint16)
    low[2] = 0
    rows = table(capsys, save(tmp_path, low, moved))
    assert rows["pairs"] == "3 planes in 3 files" and rows["empty"].startswith("1 (c2.tif plane 1 of low): left out")
    down, right = re.search(r"high lies (\S+) px below and (\S+) px right", rows["shift"]).groups()
    assert float(down) == pytest.approx(8, abs=0.5) and float(right) == pytest.approx(-3, abs=0.5)
    assert float(re.search(r"high = (\S+) x low", rows["brightness"])[1]) == pytest.approx(20, rel=0.1)
    assert re.match(r"0\.00% of low, [1-9]\d*\.\d+% of high pixels: expose less", rows["saturation"])


def test_swapped_folders_and_too_large_a_pedestal_are_told(tmp_path: Path, fields: tuple, capsys) -> None:
    out = table(capsys, save(tmp_path / "swapped", fields[1], fields[0]))
    assert "are the two folders swapped?" in str(out)
    far = [part.astype(np.float64) + 1e9 for part in fields]
    rows = table(capsys, save(tmp_path / "far", *far))
    assert "subtract an offset first" in rows["grey"]


def test_noise_that_was_spread_is_told(tmp_path: Path, fields: tuple, capsys) -> None:
    low = (fields[0] + np.roll(fields[0], 1, axis=1)) / 2
    row = table(capsys, save(tmp_path, low, fields[1]))["noise"]
    assert 30 < int(row.split("%")[0]) < 60 and "keep raw frames" in row


def test_other_fields_are_told_and_not_trained_on(tmp_path: Path, fields: tuple, capsys) -> None:
    folder = save(tmp_path / "data", fields[0], fields[1][[1, 2, 3, 0]])
    rows = table(capsys, folder)
    assert "same fields" in rows["likeness"] and "same fields" in rows["brightness"]
    assert main(["train", folder, str(tmp_path / "run"), *TRAIN]) == 2
    assert "expected pairs that match, see ddpm-micro check" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_another_exposure_is_trained_on_in_one_brightness(tmp_path: Path, fields: tuple, capsys, monkeypatch) -> None:
    """20 times the light: the network sees what it would have seen, and the sidecar tells the map."""
    given = {}
    monkeypatch.setattr("ddpm_micro.train.fit", lambda *parts, **named: given.update(parts=parts, **named))
    folder = save(tmp_path, fields[0], 20 * fields[1] - 1900)
    assert main(["train", folder, str(tmp_path / "run"), *TRAIN]) == 0
    assert re.search(r"brightness +high = (19|20)\S* x low - 1\d{3}: high is brought", capsys.readouterr().out)
    data, (_, train, val, _) = given["data"], given["parts"]
    assert data["gain"] == pytest.approx(20, rel=0.05) and (data["pairs"], data["held_out"]) == (3, 1)
    before = PairedPatches(fields[0][:3], fields[1][:3], 16)
    np.testing.assert_allclose(train.x0, before.x0, atol=0.1)
    np.testing.assert_array_equal(train.cond, before.cond)
    assert len(val.x0) == 1


def test_noise2void_trains_without_high(tmp_path: Path, fields: tuple, capsys, monkeypatch) -> None:
    given = []
    monkeypatch.setattr("ddpm_micro.train.fit", lambda *parts, **_: given.extend(parts))
    folder = save(tmp_path, fields[0], None)
    assert "only --method n2v can train" in table(capsys, folder)["high"]
    assert main(["train", folder, str(tmp_path / "run"), *TRAIN, "--method", "n2v"]) == 0
    assert len(given[1].cond) == 3
    assert main(["train", folder, str(tmp_path / "run"), *TRAIN]) == 2
    assert "expected TIFF files in" in capsys.readouterr().err


def test_another_exposure_is_evaluated_in_one_brightness(tmp_path: Path, fields: tuple, capsys) -> None:
    """The measures are those of the same pairs in one brightness; a model trained on other pairs is told."""
    save_model(
        Model(UNetConfig(8, (1, 2), 1, ()), cosine_schedule(8), info={"data": {"gain": 20.0}}),
        tmp_path / "m.safetensors",
    )
    model = ["--model", str(tmp_path / "m.safetensors"), "--samples", "2", "--steps", "1", "--images", "1"]
    scores = {}
    for name, high in {"same": fields[1], "other": 20 * fields[1] - 1900, "unlike": np.flip(fields[1], axis=0)}.items():
        file = tmp_path / f"{name}.json"
        folder = save(tmp_path / name, fields[0], np.ascontiguousarray(high))
        assert main(["evaluate", folder, *model, "--json", str(file)]) == 0
        out = capsys.readouterr().out
        assert ("where the model was trained, 20 times" in out) == (name == "same")
        assert ("compared as they are" in out) == (name == "unlike")
        assert re.search(r"PSNR in dB, for a data range of \d", out)
        scores[name] = [
            r["median"] for r in json.loads(file.read_text()) if (r["method"], r["metric"]) == ("raw", "psnr")
        ]
    assert scores["other"] == pytest.approx(scores["same"], abs=0.3)


def test_one_hot_pixel_does_not_decide_a_measure(tmp_path: Path, fields: tuple, capsys) -> None:
    save_model(Model(UNetConfig(8, (1, 2), 1, ()), cosine_schedule(8)), tmp_path / "m.safetensors")
    options = ["--model", str(tmp_path / "m.safetensors"), "--samples", "2", "--steps", "1", "--images", "1"]
    scores, (low, high) = {}, (part.astype(np.uint16) for part in fields)
    low[:, 5, 5] = 65535
    for name, value in (("clean", None), ("hot", 65535)):
        file, high = tmp_path / f"{name}.json", high.copy()
        high[:, 3, 3] = high[:, 3, 3] if value is None else value
        assert main(["evaluate", save(tmp_path / name, low, high), *options, "--json", str(file)]) == 0
        out, err = capsys.readouterr()
        assert f"{8 if name == 'hot' else 4} hot, dead or saturated pixels" in out and err.count("\n") <= 1
        scores[name] = {r["method"]: r["median"] for r in json.loads(file.read_text()) if r["metric"] == "psnr"}
    assert scores["hot"] == pytest.approx(scores["clean"], abs=0.2)
    assert main(["evaluate", str(tmp_path / "clean"), *options, "--data-range", "1000"]) == 0
    assert "data range of 1000\n" in capsys.readouterr().out
    for bad in ("0", "nan"):
        assert main(["evaluate", str(tmp_path / "clean"), *options, "--data-range", bad]) == 2
        out, err = capsys.readouterr()
        assert out == "" and "--data-range: expected a finite number above 0" in err
