"""Folders of pairs: what belongs together, what is left out, and which files are held out."""

from pathlib import Path

import numpy as np
import pytest

from ddpm_micro.files import tiff
from ddpm_micro.files.pairs import PairedPlanes, is_empty, read_pairs


def ramp(value: int, shape: tuple[int, ...] = (3, 3)) -> np.ndarray:
    """Grey levels from ``value`` upwards, in each plane."""
    return np.broadcast_to(value + np.arange(np.prod(shape[-2:])).reshape(shape[-2:]), shape).astype(np.uint16)


def save(folder: Path, side: str, name: str, image: np.ndarray) -> None:
    (folder / side).mkdir(exist_ok=True)
    tiff.write(folder / side / name, image, axes="QYX"[-image.ndim :])


def test_folders_are_paired_by_name(tmp_path: Path) -> None:
    for name, image in [("b.tif", ramp(2, (4, 5))), ("a.tif", np.stack([ramp(7), ramp(8)]))]:
        save(tmp_path, "low", name, image)
        save(tmp_path, "high", name, image + 1)
    pairs = read_pairs(tmp_path)
    assert pairs.files == ["a.tif", "a.tif", "b.tif"] and pairs.left_out == [] and len(pairs) == 3
    found = [(a.shape, a.flat[0], b.flat[0], a.dtype) for a, b in zip(pairs.low, pairs.high, strict=True)]
    assert found == [((3, 3), 7, 8, np.float32), ((3, 3), 8, 9, np.float32), ((4, 5), 2, 3, np.float32)]


@pytest.mark.parametrize("other", ["cell 1.TIF", "Cell 1.tiff", "CELL 1.ome.tif"])
def test_names_pair_whatever_their_case_and_ending(tmp_path: Path, other: str) -> None:
    save(tmp_path, "low", "cell 1.tif", ramp(1))
    save(tmp_path, "high", other, ramp(2))
    assert read_pairs(tmp_path).files == ["cell 1.tif"]


def test_two_files_of_one_name_in_a_folder_are_refused(tmp_path: Path) -> None:
    for name in ("a.tif", "A.tiff"):
        save(tmp_path, "low", name, ramp(1))
    with pytest.raises(ValueError, match=r"one file of a name in .*low, got A\.tiff and a\.tif"):
        read_pairs(tmp_path)


def test_folders_that_do_not_match_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected TIFF files in .*low, .*pairs are low/NAME\.tif and high/NAME\.tif"):
        read_pairs(tmp_path)
    save(tmp_path, "low", "a.tif", ramp(0))
    with pytest.raises(ValueError, match=r"expected TIFF files in .*high"):
        read_pairs(tmp_path)
    save(tmp_path, "high", "a.tif", ramp(0, (3, 4)))
    with pytest.raises(ValueError, match=r"\(3, 3\) and \(3, 4\) for a.tif"):
        read_pairs(tmp_path)
    save(tmp_path, "high", "c.tif", ramp(0, (3, 4)))
    with pytest.raises(ValueError, match=r"without partner: c\.tif"):
        read_pairs(tmp_path)


def test_a_dropped_frame_is_left_out_and_named(tmp_path: Path) -> None:
    low, high = np.stack([ramp(n) for n in range(6)]), np.stack([ramp(n + 50) for n in range(6)])
    low[2] = 0
    high[4] = 7
    save(tmp_path, "low", "a.tif", low)
    save(tmp_path, "high", "a.tif", high)
    pairs = read_pairs(tmp_path)
    assert pairs.left_out == ["a.tif plane 3 of low", "a.tif plane 5 of high"]
    assert [int(plane.flat[0]) for plane in pairs.low] == [0, 1, 3, 5]
    save(tmp_path, "low", "b.tif", ramp(0) * 0)
    save(tmp_path, "high", "b.tif", ramp(0) * 0)
    assert "b.tif plane 1 of low and high" in read_pairs(tmp_path).left_out
    for file in tmp_path.glob("*/a.tif"):
        file.unlink()
    with pytest.raises(ValueError, match=r"only empty ones, such as b\.tif plane 1 of low and high"):
        read_pairs(tmp_path)


def test_a_hot_pixel_is_no_content_but_a_faint_speck_is() -> None:
    dark = np.zeros((64, 64))
    dark[3, 3] = 65535
    assert is_empty(dark)
    dark[10:13, 10:13] = 1
    assert not is_empty(dark)


def test_noise2void_needs_no_high(tmp_path: Path) -> None:
    save(tmp_path, "low", "a.tif", np.stack([ramp(7), ramp(8)]))
    pairs = read_pairs(tmp_path, low_only=True)
    assert pairs.high is pairs.low and len(pairs) == 2
    save(tmp_path, "high", "a.tif", np.stack([ramp(9), ramp(9)]))  # where there is one, it is read
    assert read_pairs(tmp_path, low_only=True).high[0][0, 0] == 9


@pytest.mark.parametrize(
    ("files", "held_out"),
    [("aa", "a"), ("ab", "b"), ("abb", "bb"), ("aab", "b"), ("aabbcc", "cc"), ("abcdefghijklmnopqrst", "st"), ("a" * 19 + "b", "b"), ("a" + "b" * 19, "b" * 19)],
)  # fmt: skip
def test_whole_files_are_held_out(files: str, held_out: str) -> None:
    planes = [np.full((2, 2), n) for n in range(len(files))]
    train, val = PairedPlanes(planes, planes, list(files), []).hold_out()
    assert "".join(val.files) == held_out and "".join(train.files + val.files) == files
    assert [plane[0, 0] for plane in train.low + val.high] == list(range(len(files)))


def test_a_single_pair_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match=r"at least 2 pairs of planes, got 0\.1 of 1"):
        PairedPlanes([np.eye(2)], [np.eye(2)], ["a"], []).hold_out()
