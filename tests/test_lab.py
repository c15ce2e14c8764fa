"""The live sliders: JupyterLab with a kernel, in a real browser, moved by keyboard."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from browser import chromium
from playwright.sync_api import Browser, Page, expect

from ddpm_micro.teach.predictions import PREDICTIONS

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
CHAPTER = "02_forward_noising"
# Besides the chapter's slider, one over samples: of numbers at random, since the book's build drew chapter 7's.
SAMPLES = """
noisy = x0 + np.random.default_rng(0).normal(0, 0.5, (16, *x0.shape))
widgets.samples(noisy, x0, data_range=2)
"""
QUESTIONS = ("best_decay", "gain_of_15")  # one with answers to choose from, one that wants a number
SLIDERS = 2
TOKEN = "for-the-tests"
PATIENCE = 240_000  # ms: a chapter runs before its slider is there
STEPS = 5
HANDLE = ".jp-OutputArea .widget-slider .noUi-handle"

# From the key to the new picture, measured in the page itself.
WATCH = """number => {
    const source = () => document.querySelectorAll('.jp-OutputArea .widget-html img')[number].src, before = source();
    window.moved = new Promise(done => addEventListener('keydown', () => {
        const start = performance.now();
        const look = () => source() === before ? setTimeout(look, 1) : done(performance.now() - start);
        look();
    }, {capture: true, once: true}));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One notebook: questions, a chapter as far as its first slider, which the book's build ran too, and a slider more."""
    folder = tmp_path_factory.mktemp("lab")
    notebook = nbformat.read(NOTEBOOKS / f"{CHAPTER}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    first = next(n for n, cell in enumerate(cells) if re.search("^widgets\\.", cell.source, re.MULTILINE))
    asking = [f'from ddpm_micro.teach import checks\n\nchecks.predict("{name}")' for name in QUESTIONS]
    added = [nbformat.v4.new_code_cell(source) for source in (*asking, SAMPLES)]
    notebook.cells = [*added[:-1], *cells[: first + 1], added[-1]]
    nbformat.write(notebook, folder / "lab.ipynb")
    return folder


@pytest.fixture(scope="module")
def lab(browser: Browser, folder: Path) -> Iterator[str]:
    """JupyterLab over that folder; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}",
        f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}",
        "--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name != "DDPM_MICRO_SLIDERS"}
    environment |= {"JUPYTER_CONFIG_DIR": str(folder / ".config"), "JUPYTERLAB_SETTINGS_DIR": str(folder / ".settings")}
    log = (folder / "log").open("w+")
    server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/api/status?token={TOKEN}", server, Path(log.name))
        yield address
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:  # on a busy machine; what was to be tested has been
            server.kill()
        log.close()


def wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")


def idle(page: Page) -> None:
    expect(page.locator("#jp-main-statusbar")).to_contain_text("Idle", timeout=PATIENCE)


@pytest.fixture(scope="module")
def page(browser: Browser, lab: str) -> Page:
    """The notebook in JupyterLab, after all its cells have run."""
    page = browser.new_page(viewport={"width": 1280, "height": 4000})
    page.goto(f"{lab}/lab/tree/lab.ipynb?token={TOKEN}&reset", timeout=PATIENCE)
    page.locator(".jp-CodeCell").first.wait_for(timeout=PATIENCE)
    idle(page)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator('li[data-command="runmenu:run-all"]').click()
    page.locator(HANDLE).nth(SLIDERS - 1).wait_for(timeout=PATIENCE)
    idle(page)
    return page


@pytest.mark.timeout(900)
def test_a_prediction_is_answered_by_keyboard(page: Page) -> None:
    choice = page.locator(".jp-OutputArea .widget-button", has_text="0.98").first
    choice.focus()
    page.keyboard.press("Space")
    said = page.locator(".jp-OutputArea .widget-html")
    expect(said.filter(has_text="You said: 0.98")).to_be_visible(timeout=PATIENCE)
    worth = said.locator("details p").first
    expect(worth).to_be_hidden()
    said.locator("summary").first.focus()
    page.keyboard.press("Enter")
    expect(worth).to_be_visible()
    expect(worth).to_have_text(PREDICTIONS["best_decay"].told("0.98"))
    page.locator(".jp-OutputArea .widget-text input").first.focus()
    page.keyboard.type("12")
    commit = page.locator(".jp-OutputArea .widget-button", has_text="That is my guess").first
    commit.focus()
    page.keyboard.press("Space")
    expect(said.filter(has_text="You said: 12")).to_be_visible(timeout=PATIENCE)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", range(SLIDERS))
def test_a_slider_moves_by_keyboard_and_answers_at_once(
    page: Page, number: int, measured: Callable[[str], None]
) -> None:
    handle = page.locator(HANDLE).nth(number)
    handle.focus()
    seconds, texts = [], [handle.get_attribute("aria-valuetext")]
    for _ in range(STEPS):
        page.evaluate(WATCH, number)
        page.keyboard.press("ArrowRight")
        seconds.append(page.evaluate("window.moved") / 1000)
        idle(page)
        texts.append(handle.get_attribute("aria-valuetext"))
        assert page.locator(".jp-OutputArea .widget-html img").nth(number).get_attribute("alt")
    measured(f"a step takes {1000 * sorted(seconds)[STEPS // 2]:.0f} ms, at best {1000 * min(seconds):.0f}")
    assert len(set(texts)) == STEPS + 1
    assert min(seconds) < 0.15  # the best of a few: what the pictures take, whatever else the machine does
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr'] .ansi-red-fg").count() == 0
