"""The page of the book that restores a reader's image: from the drop to the download, as a file and behind a server."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import chromium, served
from playwright.sync_api import Browser, Page
from test_live import LIVE, ROOT

from ddpm_micro.checkpoint import load_model
from ddpm_micro.files import tiff
from ddpm_micro.restore import restore

STRIPES = 20 * (1 + np.sin(np.arange(28) / 3)) + np.arange(20)[:, None]
IMAGE = np.random.default_rng(3).poisson(STRIPES).astype(np.uint16)
STATUS = "document.querySelector('#live-status').textContent"
READY = "!document.querySelector('#live-start').disabled"
OVER = f"/^(Done|Not|Something|Stopped)/.test({STATUS})"
DROP = """([text, name]) => { const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
    document.querySelector('#live-drop').dispatchEvent(new DragEvent('drop', { dataTransfer: transfer })); }"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The panel with its scripts as the book has them, without the rest of the book."""
    root = tmp_path_factory.mktemp("site")
    (root / "book").mkdir()
    panel = re.search(r"```\{raw\} html\n(.*?)```", (ROOT / "book" / "live.md").read_text("utf-8"), re.S)[1]
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Live</title></head><body><main><h1>Live</h1>'
    )
    (root / "book" / "live.html").write_text(f"{head}{panel}</main></body></html>", "utf-8")
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
