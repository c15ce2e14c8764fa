"""The page of the book that restores a reader's image: from the drop to the download, as a file and behind a server."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import chromium, served
from PIL import Image
from playwright.sync_api import Browser, Page
from test_live import LIVE

from ddpm_micro.checkpoint import load_model
from ddpm_micro.cli import main
from ddpm_micro.files import tiff
from ddpm_micro.restore import restore

STRIPES = 20 * (1 + np.sin(np.arange(28) / 3)) + np.arange(20)[:, None]
IMAGE = np.random.default_rng(3).poisson(STRIPES).astype(np.uint16)
STATUS = "document.querySelector('#live-status').textContent"
READY = "!document.querySelector('#live-start').disabled"
OVER = f"/^(Done|Not|Something|Stopped)/.test({STATUS})"
DROP = """([text, name]) => { const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
    document.querySelector('#live-drop').dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true })); }"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The panel with its scripts as the book has them, without the rest of the book."""
    root = tmp_path_factory.mktemp("site")
    (root / "book").mkdir()
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Live</title></head><body><main><h1>Live</h1>'
    )
    (root / "book" / "live.html").write_text(f"{head}{LIVE.panel('../_static/live')}</main></body></html>", "utf-8")
    static = root / "_static" / "live"
    static.mkdir(parents=True)
    for name, script in LIVE.scripts().items():
        (static / name).write_text(script, "utf-8")
    (static / "live.css").write_bytes((LIVE.SOURCES / "live.css").read_bytes())
    return root


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[str]:
    with served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def visit(browser: Browser, url: str) -> Page:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.asked, page.wrong = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.goto(url + "book/live.html")
    page.wait_for_function(f"{STATUS} === 'Choose an image.'")  # its script comes after the page
    return page


def drop(page: Page, data: bytes, name: str) -> None:
    page.evaluate(DROP, [LIVE.text(data), name])


def status(page: Page) -> str:
    return page.evaluate(STATUS)


def test_from_the_drop_to_the_download_by_keyboard(browser: Browser, folder: Path, tmp_path: Path) -> None:
    """As a file, on a telephone's width: what is downloaded is what the command writes."""
    page = visit(browser, folder.as_uri() + "/")
    tiff.write(tmp_path / "cells.tif", IMAGE, axes="YX", pixel_size_nm=65)
    drop(page, (tmp_path / "cells.tif").read_bytes(), "cells.tif")
    page.wait_for_function(READY)
    assert re.search(r"^Ready: about .+ on this device, with .+ and \d+ MB of memory\.$", status(page))
    assert (
        page.locator("#live-image").get_attribute("aria-label")
        == "The noisy image, cells: 28 × 20 pixels, 65 nm a pixel"
    )
    page.focus("#live-samples")
    page.keyboard.press("Control+A")
    page.keyboard.type("3")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function(OVER)
    assert status(page).startswith("Done: 3 samples in ")
    assert page.evaluate("document.activeElement.id") == "live-save-mean"
    saved = {}
    for what in ("mean", "std"):
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        assert download.value.suggested_filename == f"cells.{what}.tif"
        download.value.save_as(tmp_path / f"{what}.tif")
        saved[what] = tiff.read(tmp_path / f"{what}.tif")
        page.keyboard.press("Tab")
    right = restore(load_model("generalist").cpu(), IMAGE, samples=3, progress=False)
    for what, wanted in (("mean", right.mean), ("std", right.std)):
        assert saved[what].pixel_size_nm == pytest.approx(65)
        np.testing.assert_allclose(saved[what].image, wanted, atol=1e-3 * np.ptp(right.mean), rtol=0)

    said = set()
    for slider in ("step", "shown"):
        page.focus(f"#live-{slider}")
        for key in ("Home", "ArrowRight"):
            page.keyboard.press(key)
            picture = page.locator({"step": "#live-x", "shown": "#live-mean"}[slider])
            said.add(
                (picture.get_attribute("aria-label"), page.locator(f"#live-{slider}").get_attribute("aria-valuetext"))
            )
    assert len(said) == 4
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert [v["id"] for v in Axe().run(page).response["violations"] if v["impact"] in {"serious", "critical"}] == []
    assert page.wrong == [] and all(url.startswith(("file:", "blob:")) for url in page.asked)
    page.close()


def test_a_simulated_image_behind_a_server_and_stop(browser: Browser, site: str) -> None:
    page = visit(browser, site)
    page.get_by_role("button", name="synapses").click()
    page.wait_for_function(READY)
    assert page.locator("#live-model").input_value() == "synapses" and page.locator("#live-truth-figure").is_visible()
    page.fill("#live-samples", "50")
    page.click("#live-start")
    page.wait_for_function(
        "document.querySelector('#live-mean').getAttribute('aria-label').includes('mean by one call')"
    )
    page.click("#live-stop")
    assert status(page).startswith("Stopped")
    done = page.locator("#live-progress").get_attribute("value")
    page.wait_for_timeout(300)
    assert page.locator("#live-progress").get_attribute("value") == done and page.locator("#live-start").is_enabled()
    assert page.wrong == [] and all(url.startswith((site, "blob:")) for url in page.asked)
    loaded = [url for url in page.asked if "weights_" in url]
    assert len(loaded) == 1 and loaded[0].endswith("weights_synapses.js")
    page.close()


def test_what_does_not_fit_is_told_in_one_line(browser: Browser, site: str) -> None:
    page = visit(browser, site)
    drop(page, b"no picture", "notes.txt")
    page.wait_for_function(OVER)
    assert (
        status(page) == "Not possible: expected a TIFF or PNG file, got another kind of file; export the image as TIFF."
    )
    page.get_by_role("button", name="zebrafish").click()
    page.wait_for_function(READY)
    page.fill("#live-samples", "99")
    page.keyboard.press("Tab")
    assert status(page) == "Not possible: expected 1 to 50 samples, got 99; change it."
    page.close()


def test_what_it_takes_is_planned(browser: Browser, site: str) -> None:
    """Less memory means fewer workers; where one is too many, it is refused."""
    page = visit(browser, site)
    page.add_script_tag(content=LIVE.source((*LIVE.ENGINE, *LIVE.FILES, "pool")))
    code = """(gigabytes) => { try { return plan({ height: 1024, width: 1024 }, 15, { bytes: 8e7, seconds: 1 },
        { deviceMemory: gigabytes, hardwareConcurrency: 4 }); } catch (error) { return error.message; } }"""
    assert page.evaluate(code, 8) == {
        "workers": 4,
        "bytes": 4 * (8e7 + 40 * 2**20) + 140 * 2**20,
        "seconds": 49 * 151 / 4,
    }
    assert page.evaluate(code, 2)["workers"] == 2
    assert "expected at most 63 MB of memory, got 269 MB; draw fewer samples or crop" in page.evaluate(code, 0.25)
    page.close()


def test_the_page_starts_small(folder: Path) -> None:
    static = folder / "_static" / "live"
    sizes = {path.name: path.stat().st_size for path in static.iterdir()}
    assert sizes["live.js"] + sizes["live.css"] + sizes["weights_generalist.js"] < 3e6
    assert max(sizes.values()) < 2.6e6


def test_a_real_frame_gives_what_the_command_gives(
    browser: Browser, site: str, tmp_path: Path, fmd_root: Path, measured: Callable[[str], None]
) -> None:
    """A part of a real micrograph, as the PNG that its camera's data set has."""
    frame = Image.open(fmd_root / "fmd" / "test_mix" / "raw" / "Confocal_FISH_1.png")
    frame.crop((200, 200, 328, 296)).save(tmp_path / "fish.png")
    page = visit(browser, site)
    drop(page, (tmp_path / "fish.png").read_bytes(), "fish.png")
    page.wait_for_function(READY)
    page.fill("#live-samples", "2")
    page.click("#live-start")
    page.wait_for_function(OVER)
    came = {}
    for what in ("mean", "std"):
        with page.expect_download() as download:
            page.click(f"#live-save-{what}")
        download.value.save_as(tmp_path / f"{what}.tif")
        came[what] = tiff.read(tmp_path / f"{what}.tif").image
    tiff.write(tmp_path / "fish.tif", np.asarray(frame)[200:296, 200:328], axes="YX")
    command = ["restore", str(tmp_path / "fish.tif"), str(tmp_path / "out.tif"), "--samples", "2", "--no-antithetic"]
    assert main(command) == 0
    right = {"mean": tiff.read(tmp_path / "out.tif").image, "std": tiff.read(tmp_path / "out.std.tif").image}
    apart = {what: np.abs(came[what] - right[what]).max() / np.ptp(right["mean"]) for what in right}
    measured(f"the page and the command on a real frame: {apart['mean']:.1e} apart (mean), {apart['std']:.1e} (std)")
    assert max(apart.values()) < 1e-3
    page.close()


def test_the_measurement_of_its_speed_runs() -> None:
    command = [sys.executable, str(LIVE.ROOT / "book" / "experiments" / "live.py"), "--tiny"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(LIVE.ROOT)})
    assert done.returncode == 0, done.stderr
    assert {record["by"] for record in json.loads(done.stdout)["seconds_per_sample"]} == {"page", "PyTorch"}


@pytest.mark.parametrize("chapter", ["00_start_here", "06_sampling"])
def test_the_panel_stands_in_the_built_book(browser: Browser, chapter: str) -> None:
    """At the end of two chapters, opened as files; its script comes when the reader comes near."""
    built = LIVE.ROOT / "book" / "_build" / "html" / "notebooks" / f"{chapter}.html"
    if not built.exists():
        pytest.skip("the built book wanted: make book")
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(built.as_uri())
    assert page.evaluate("typeof ddpmMicroWeights") == "undefined"
    page.locator("#live").scroll_into_view_if_needed()
    page.wait_for_function(f"{STATUS} === 'Choose an image.'")
    page.get_by_role("button", name="zebrafish").click()
    page.wait_for_function(READY)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for theme in ("light", "dark"):
        page.evaluate("(theme) => (document.documentElement.dataset.theme = theme)", theme)
        found = Axe().run(page, context="#live").response["violations"]
        assert [one["id"] for one in found if one["impact"] in {"serious", "critical"}] == [], theme
    page.close()


def test_the_table_of_its_speed_is_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(LIVE.ROOT / "book" / "experiments"))
    spec = importlib.util.spec_from_file_location("live_speed", LIVE.ROOT / "book" / "experiments" / "live.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    found = json.loads((LIVE.ROOT / "book" / "results" / "live.json").read_text("utf-8"))
    assert script.table(found) in script.PAGE.read_text("utf-8")
