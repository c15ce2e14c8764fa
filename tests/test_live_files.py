"""The files that the book's page reads and writes, in a real browser: as tifffile and Pillow have them, or one line."""

import base64
import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from browser import chromium
from PIL import Image
from playwright.sync_api import Page
from test_live import HELPERS, LIVE

from ddpm_micro.files import tiff as package

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium() as browser:
        opened = browser.new_page()
        opened.add_script_tag(content=LIVE.source((*LIVE.ENGINE, *LIVE.FILES)) + HELPERS)
        yield opened


def read(page: Page, data: bytes, plane: int = 0) -> tuple[np.ndarray, dict]:
    """One plane of a file, and what else was read; a refusal is a ValueError."""
    code = """async ([data, plane]) => { try {
        const { read, ...rest } = await openImage(fromBase64(data)); return { ...rest, pixels: pack(await read(plane)) };
    } catch (error) { if (error instanceof Refused) return { refused: error.message }; throw error; } }"""
    answer = page.evaluate(code, [LIVE.text(data), plane])
    if "refused" in answer:
        raise ValueError(answer["refused"])
    pixels = np.frombuffer(base64.b64decode(answer.pop("pixels")))
    return pixels.reshape(answer["height"], answer["width"]), answer


def tiff(image: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, image, **options)
    return file.getvalue()


def pillow(image: np.ndarray, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def picture(dtype: str, shape: tuple[int, ...] = (37, 50)) -> np.ndarray:
    if np.dtype(dtype).kind == "f":
        return RNG.normal(0, 1e3, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_numbers_of_every_kind(page: Page, dtype: str, order: str) -> None:
    image = picture(dtype)
    for options in ({}, {"rowsperstrip": 5}, {"tile": (16, 32)}, {"compression": "zlib"}, {"bigtiff": True}):
        came, _ = read(page, tiff(image, byteorder=order, photometric="minisblack", **options))
        np.testing.assert_array_equal(came, image, err_msg=str(options))
    if np.dtype(dtype).kind != "f":
        packed = {"compression": "zlib", "predictor": True, "tile": (16, 32)}
        np.testing.assert_array_equal(read(page, tiff(image, byteorder=order, **packed))[0], image)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("kind", ["noise", "flat"])
def test_compressions(page: Page, compression: str, dtype: str, kind: str) -> None:
    """LZW of noise fills its table of codes several times; of a flat image it meets the code that is not there yet."""
    image = picture(dtype, (90, 101)) if kind == "noise" else np.full((300, 400), 7, dtype)
    for tags in ({}, {317: 2}) if compression != "packbits" else ({},):
        came, _ = read(page, pillow(image, "TIFF", compression=compression, tiffinfo=tags))
        np.testing.assert_array_equal(came, image)


def test_where_zero_is_white(page: Page, tmp_path: Path) -> None:
    for dtype in ("uint8", "uint16"):
        (tmp_path / "white.tif").write_bytes(tiff(picture(dtype), photometric="miniswhite"))
        came, _ = read(page, (tmp_path / "white.tif").read_bytes())
        np.testing.assert_array_equal(came, package.read(tmp_path / "white.tif").image)


def test_differences_of_real_numbers(page: Page) -> None:
    image = picture("float32")
    for compression in ("tiff_lzw", "tiff_adobe_deflate"):
        came, _ = read(page, pillow(image, "TIFF", compression=compression, tiffinfo={317: 3}))
        np.testing.assert_array_equal(came, image)


@pytest.mark.parametrize("imagej", [True, False])
def test_a_plane_of_a_stack(page: Page, imagej: bool) -> None:
    stack = picture("uint16", (3, 20, 30))
    for plane in range(3):
        came, rest = read(page, tiff(stack, imagej=imagej, photometric="minisblack"), plane)
        np.testing.assert_array_equal(came, stack[plane])
        assert rest["planes"] == 3


def one_page_stack(stack: np.ndarray) -> bytes:
    """As ImageJ writes large stacks: one page, and the other planes behind the first."""
    described = f"ImageJ=1.54f\nimages={len(stack)}\nslices={len(stack)}\n"
    first = tiff(stack[0], byteorder=">", description=described, metadata=None, photometric="minisblack")
    return first + stack[1:].astype(stack.dtype.newbyteorder(">")).tobytes()


def test_a_stack_behind_one_page(page: Page) -> None:
    stack = picture("uint16", (4, 20, 30))
    for plane in (0, 2, 3):
        came, rest = read(page, one_page_stack(stack), plane)
        np.testing.assert_array_equal(came, stack[plane])
        assert rest["planes"] == 4


@pytest.mark.parametrize(
    ("options", "nm"),
    [
        ({"imagej": True, "resolution": (1 / 0.065,) * 2, "metadata": {"unit": "um"}}, 65),
        ({"imagej": True, "resolution": (20.0, 20.0), "metadata": {"unit": "micron"}}, 50),
        ({"imagej": True, "resolution": (20.0, 10.0), "metadata": {"unit": "micron"}}, None),  # not square
        ({"ome": True, "metadata": {"PhysicalSizeX": 0.2, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.2, "PhysicalSizeYUnit": "µm"}}, 200),
        ({"resolution": (1e5, 1e5), "resolutionunit": "CENTIMETER"}, 100),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),  # a default, no microscope's
        ({}, None),
    ],
)  # fmt: skip
def test_pixel_size(page: Page, options: dict, nm: float | None) -> None:
    _, rest = read(page, tiff(picture("uint16"), **options))
    assert rest["pixelSizeNm"] == (nm if nm is None else pytest.approx(nm, rel=1e-6))


@pytest.mark.parametrize(
    "image",
    [picture("uint8"), picture("uint16"), np.stack([picture("uint8")] * 3, -1)],
    ids=["8", "16", "grey in colour"],
)
def test_png(page: Page, image: np.ndarray) -> None:
    came, rest = read(page, pillow(image, "PNG"))
    np.testing.assert_array_equal(came, image if image.ndim == 2 else image[..., 0])
    assert rest["pixelSizeNm"] is None


def with_byte(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + bytes([value]) + data[at + 1 :]


PLAIN = tiff(picture("uint16"), photometric="minisblack")
HOLES = np.where(RNG.random((20, 20)) < 0.1, np.nan, 1).astype(np.float32)
SHAPED = tiff(picture("uint8", (3, 20, 30)), photometric="minisblack")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: b"", "expected a TIFF or PNG file, got another kind of file; export"),
        (lambda: pillow(picture("uint8"), "JPEG"), "got a JPEG, which has changed the grey levels"),
        (lambda: tiff(picture("uint8", (20, 20, 3)), photometric="rgb"), "expected one grey value a pixel, got 3"),
        (lambda: tiff(picture("float32").astype("float16")), "16-bit floating-point"),
        (lambda: tiff(picture("float32").astype("complex64")), "64-bit complex"),
        (lambda: tiff(picture("uint8") > 99), "1-bit unsigned"),
        (lambda: tiff(HOLES), f"got {np.isnan(HOLES).sum()} that are NaN, infinite or larger, of 400"),
        (lambda: PLAIN[:-100], "expected a whole TIFF file, got a damaged one (pixel data cut off)"),
        (lambda: PLAIN[:60], "damaged"),
        (lambda: PLAIN[:4] + struct.pack("<I", 10**6) + PLAIN[8:], "leads out of the file"),
        (lambda: one_page_stack(picture("uint16", (4, 20, 30)))[:-1], "promise 4 planes, 3 are there"),
        (lambda: tiff(picture("uint8", (7, 40))), "expected 8 to 1024 pixels a side, got 40 x 7; give a larger image"),
        (lambda: tiff(picture("uint8", (9, 1025))), "got 1025 x 9; crop it, or use the command ddpm-micro restore"),
        (lambda: pillow(np.stack([picture("uint8") for _ in range(3)], -1), "PNG"), "got colour (RGB)"),
        (lambda: pillow(picture("uint8"), "PNG")[:-30], "damaged"),
    ],
)
def test_refusals_are_one_line(page: Page, make: Callable[[], bytes], told: str) -> None:
    with pytest.raises(ValueError) as refused:
        read(page, make())
    text = str(refused.value)
    assert told in text and "\n" not in text and text.startswith("expected") and "; " in text


def test_different_pages_are_refused(page: Page) -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for shape in ((20, 30), (30, 20)):
            writer.write(picture("uint8", shape), photometric="minisblack")
    with pytest.raises(ValueError, match="expected one image or stack, got 2 different ones"):
        read(page, file.getvalue())


@pytest.mark.parametrize("nm", [None, 65.0, 0.5, 1e6])
def test_what_is_written_reads_back(page: Page, tmp_path: Path, nm: float | None) -> None:
    image = RNG.normal(0, 100, (21, 34)).astype(np.float32)
    code = "([data, h, w, nm]) => Array.from(writeTiff(Float32Array.from(numbers(data)), h, w, nm))"
    data = bytes(page.evaluate(code, [LIVE.text(image.astype(np.float64).tobytes()), *image.shape, nm]))
    (tmp_path / "out.tif").write_bytes(data)
    came = package.read(tmp_path / "out.tif")
    np.testing.assert_array_equal(came.image, image)
    np.testing.assert_array_equal(read(page, data)[0], image)
    assert came.axes == "YX" and came.image.dtype == np.float32
    assert came.pixel_size_nm == (nm if nm is None else pytest.approx(nm, rel=1e-6))
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.is_imagej
