"""The built book in a real browser: sliders, accessibility, no other host, links, sizes. `make book` builds it."""

import functools
import html.parser
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import chromium, served
from playwright.sync_api import Browser, Page

from ddpm_micro.teach.prediction import PASS
from ddpm_micro.teach.predictions import PREDICTIONS

ROOT = Path(__file__).parent.parent
BOOK = ROOT / "book" / "_build" / "html"
PAGES = sorted(
    p.relative_to(BOOK).as_posix() for p in BOOK.rglob("*.html") if not p.relative_to(BOOK).parts[0].startswith("_")
)
CHAPTERS = [page for page in PAGES if page.startswith("notebooks/")]
MEGABYTES = 1.5
FORWARDS = "index.html"  # sends the reader on to book/index.html

# What a slider shows. A picture is told by its number, since its address holds all of it.
SHOWN = """slider => { const strip = slider.closest('.frame-strip'), image = strip.querySelector('img');
    const known = window.known ??= new Map(), number = known.get(image.src) ?? known.size;
    known.set(image.src, number);
    return [number, image.alt, slider.getAttribute('aria-valuetext'), strip.querySelector('output').textContent]; }"""


class Tags(html.parser.HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))


@functools.cache
def tags(page: Path) -> list[tuple[str, dict[str, str | None]]]:
    return Tags(page.read_text("utf-8")).tags


@pytest.fixture(scope="module", autouse=True)
def book() -> None:
    if not PAGES:
        pytest.skip("the built book wanted: make book")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The book behind a server, as on the web."""

    with served(BOOK) as address:
        yield address


class Visit:
    """A page as a reader has it open, with all that it asked for."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.page: Page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.asked: list[str] = []
        self.failed: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("requestfailed", lambda request: self.failed.append(request.url))
        self.page.on("response", lambda answer: self.failed.append(answer.url) if answer.status >= 400 else None)
        self.page.on("pageerror", lambda error: self.failed.append(str(error)))
        self.page.goto(url, wait_until="load")
        if self.page.locator(".math").count():
            self.page.wait_for_function("window.MathJax && MathJax.startup && MathJax.startup.promise")
            self.page.evaluate("MathJax.startup.promise.then(() => true)")
        if url.startswith("http"):
            self.page.wait_for_load_state("networkidle")
        else:
            self.page.wait_for_timeout(1000)  # files are no network: that it is idle is never told


@pytest.fixture(scope="module", params=[page for page in PAGES if page != FORWARDS] or ["no book"])
def visit(request: pytest.FixtureRequest, browser: Browser, site: str) -> Iterator[Visit]:
    """One page, opened once for all tests of it."""
    opened = Visit(browser, site + request.param)
    yield opened
    opened.page.close()


def open_results(page: Page) -> None:
    """Open what is folded until the reader has predicted it."""
    page.evaluate("document.querySelectorAll('details.predicted').forEach(one => { one.open = true; })")


def check_sliders(page: Page, steps: int | None = None) -> None:
    open_results(page)
    for slider in page.query_selector_all(".frame-strip input[type=range]"):
        slider.focus()
        page.keyboard.press("Home")
        seen = [slider.evaluate(SHOWN)]
        for _ in range(steps or int(slider.get_attribute("max"))):
            page.keyboard.press("ArrowRight")
            seen.append(slider.evaluate(SHOWN))
        for number, what in enumerate(("picture", "alternative text", "aria-valuetext", "value beside the label")):
            assert len({one[number] for one in seen}) == len(seen), (
                f"{slider.get_attribute('id')}: a key left the {what} as it was"
            )
        assert all(value == text for _, _, value, text in seen)


def check_math(page: Page) -> None:
    formulas = page.locator("span.math, div.math")
    assert page.locator("span.math mjx-container, div.math mjx-container").count() >= formulas.count()
    assert page.locator("mjx-merror").count() == 0


def test_a_page_asks_nobody_else(visit: Visit, site: str) -> None:
    assert [url for url in visit.asked if not url.startswith((site, "data:", "blob:"))] == []
    assert visit.failed == []
    check_math(visit.page)


def test_every_slider_moves_by_keyboard(visit: Visit) -> None:
    check_sliders(visit.page)


def test_every_prediction_opens_its_result_by_keyboard(visit: Visit) -> None:
    page = visit.page
    page.evaluate("document.querySelectorAll('details.predicted').forEach(one => { one.open = false; })")
    for box in page.query_selector_all(".prediction"):
        status = box.query_selector("[role=status]")
        folded = page.evaluate_handle(
            "box => { const found = []; let cell = box.closest('.cell').nextElementSibling;"
            " for (; cell?.classList.contains('cell'); cell = cell.nextElementSibling)"
            " found.push(...cell.querySelectorAll('details.predicted')); return found; }",
            box,
        )
        opened = "found => found.map(one => one.open)"
        asked = PREDICTIONS[box.get_attribute("id").removeprefix("predict-").replace("-", "_")]
        guess = "2" if asked.numeric else next(iter(asked.answers))
        assert folded.evaluate("found => found.length > 0") and not any(folded.evaluate(opened)), "nothing was folded"
        if field := box.query_selector("input"):
            field.focus()
            page.keyboard.press("Enter")  # nothing written yet
            assert status.inner_text() == "A number is wanted." and not any(folded.evaluate(opened))
            page.keyboard.type(guess)
            page.keyboard.press("Enter")
        else:
            box.query_selector("button").focus()
            page.keyboard.press("Enter")
        assert status.inner_text().startswith("You said: ") and all(folded.evaluate(opened))
        first = page.locator(".prediction-told").all_inner_texts()
        assert asked.told(guess) in first  # the page's script says what a live notebook says
        box.query_selector("button[value=pass]").focus()
        page.keyboard.press("Space")
        assert status.inner_text() == "The result is open below."
        told = page.locator(".prediction-told").all_inner_texts()
        assert len(told) == len(first) and told != first  # the new words take the place of the old
        assert asked.told(PASS) in told


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_without_scripts_a_prediction_is_a_question_and_its_result_a_disclosure(
    browser: Browser, site: str, chapter: str
) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(site + chapter)
    boxes = page.locator(".prediction").all()
    assert boxes
    for box in boxes:
        asked = PREDICTIONS[box.get_attribute("id").removeprefix("predict-").replace("-", "_")]
        assert asked.question in box.inner_text()
        assert box.locator("li").all_inner_texts() == ([] if asked.numeric else list(asked.answers))
        answer = box.locator("details p")
        assert not answer.is_visible()
        box.locator("summary").focus()
        page.keyboard.press("Enter")
        assert answer.is_visible() and answer.inner_text() == asked.told(PASS)
    results = page.locator("details.predicted")
    assert results.count() >= len(boxes) and results.evaluate_all("all => all.every(one => !one.open)")
    results.first.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert results.first.get_attribute("open") is not None
    page.context.close()


def test_no_time_was_taken_on_a_machine_that_was_too_busy() -> None:
    assert "too busy to be timed: run" not in " ".join(
        text
        for page in CHAPTERS
        for text in re.findall(r'class="output stream.*?</pre>', (BOOK / page).read_text("utf-8"), re.DOTALL)
    )


# Marks one text of each look: equal colours, sizes and weights on equal backgrounds contrast equally. A chapter has
# thousands of texts, most of them words of code, and contrast takes three quarters of the time of all rules together.
# axe leaves out texts of one character.
MARK = """() => {
    const looks = new Set();
    let marked = 0;
    document.querySelectorAll('[data-look]').forEach(one => one.removeAttribute('data-look'));
    for (const one of document.querySelectorAll('body *')) {
        if (![...one.childNodes].some(part => part.nodeType === 3 && part.data.trim().length > 1) || !one.checkVisibility()) continue;
        const style = getComputedStyle(one), look = [style.color, style.fontSize, style.fontWeight];
        for (let under = one; under; under = under.parentElement) {
            const { backgroundColor, backgroundImage, opacity } = getComputedStyle(under);
            if (backgroundColor !== 'rgba(0, 0, 0, 0)' || opacity !== '1') look.push(backgroundColor, opacity);
            if (backgroundImage !== 'none') look.push(backgroundImage);
        }
        const { size } = looks.add(String(look));
        if (size > marked) one.setAttribute('data-look', marked = size);
    }
    return looks.size;
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_text_can_be_told_from_its_background(visit: Visit, theme: str) -> None:
    visit.page.evaluate(
        "theme => { document.documentElement.dataset.theme = document.documentElement.dataset.mode = theme }", theme
    )
    assert visit.page.evaluate(MARK) > 5
    check_accessible(visit.page, {"runOnly": ["color-contrast"]}, [["[data-look]"]])


def test_a_page_is_accessible(visit: Visit) -> None:
    """By all other rules, for which a theme's colours do not matter."""
    check_accessible(visit.page, {"rules": {"color-contrast": {"enabled": False}}})


def check_accessible(page: Page, options: dict, part: list | None = None) -> None:
    found = Axe().run(page, part, {"resultTypes": ["violations"]} | options).response["violations"]
    found = [violation for violation in found if violation["impact"] in {"serious", "critical"}]
    report = [
        f"{v['id']}: {v['help']}\n    {node['html'][:200]}\n    {node['failureSummary'][:300]}"
        for v in found
        for node in v["nodes"][:3]
    ]
    assert not found, "\n".join(report)


def test_figures_stay_on_white_in_the_dark(visit: Visit) -> None:
    visit.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    behind = "images => images.map(image => getComputedStyle(image).backgroundColor)"
    assert set(visit.page.locator("img[src^='data:image/webp']").evaluate_all(behind)) <= {"rgb(255, 255, 255)"}


def test_a_telephone_shows_the_whole_width(visit: Visit) -> None:
    before = visit.page.viewport_size
    visit.page.set_viewport_size({"width": 390, "height": 844})
    wide = """() => [document.documentElement.scrollWidth, [...document.querySelectorAll('article *')]
        .filter(e => e.getBoundingClientRect().right > 391).slice(0, 3).map(e => e.outerHTML.slice(0, 120))]"""
    width, culprits = visit.page.evaluate(wide)
    visit.page.set_viewport_size(before)
    assert width <= 390, culprits


def test_every_slider_was_met() -> None:
    """So that the tests above cannot pass for want of sliders."""
    strips = {page: (BOOK / page).read_text("utf-8").count('class="frame-strip"') for page in CHAPTERS}
    live = {p.stem: p.read_text("utf-8").count("widgets.") for p in (ROOT / "notebooks").glob("*.ipynb")}
    for page, count in strips.items():
        assert (count > 0) == (live[Path(page).stem] > 0), f"{page}: {count} frame strips"
    assert sum(strips.values()) > 0 and not any(
        "jupyter.widget" in (BOOK / page).read_text("utf-8") for page in CHAPTERS
    )


@pytest.mark.parametrize("page", CHAPTERS[:3])
def test_a_chapter_works_from_a_folder(browser: Browser, page: str) -> None:
    visit = Visit(browser, (BOOK / page).as_uri())
    assert [url for url in visit.asked if not url.startswith(("file:", "data:", "blob:"))] == [] == visit.failed
    check_math(visit.page)
    check_sliders(visit.page, steps=1)
    visit.page.locator(".prediction button[value=pass]").first.click()
    assert visit.page.locator(".prediction-told").count() == 1
    visit.page.close()


@pytest.mark.parametrize("page", PAGES)
def test_pictures_have_words(page: str) -> None:
    for tag, attributes in tags(BOOK / page):
        if tag == "img":
            alt = (attributes.get("alt") or "").strip()
            assert alt and not re.search(r"\.(png|webp|svg|jpe?g|gif)$|^_images|^\.\./", alt), attributes.get(
                "src", ""
            )[:80]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    wrong = []
    for tag, attributes in tags(BOOK / page):
        link = attributes.get("href" if tag in {"a", "link"} else "src")
        if not link or urlsplit(link).scheme or link.startswith("//"):
            continue
        address, fragment = urldefrag(link)
        target = (BOOK / page).parent / unquote(urlsplit(address).path) if address else BOOK / page
        if not target.is_file() or (fragment and target.suffix == ".html" and fragment not in names(target)):
            wrong.append(link)
    assert not wrong


@functools.cache
def names(page: Path) -> set[str]:
    return {value for _, attributes in tags(page) for key in ("id", "name") if (value := attributes.get(key))} | {""}


@pytest.mark.parametrize("page", CHAPTERS)
def test_launch_buttons_open_this_chapter(page: str) -> None:
    links = [attributes.get("href") or "" for tag, attributes in tags(BOOK / page) if tag == "a"]
    chapter = f"notebooks/{Path(page).stem}.ipynb"
    assert (ROOT / chapter).is_file()
    repository = "ddpm-micro/ddpm_micro"
    assert f"https://colab.research.google.com/github/{repository}/blob/main/{chapter}" in links
    assert f"https://mybinder.org/v2/gh/{repository}/main?urlpath=lab/tree/{chapter}" in links


def test_pages_are_small(measured: Callable[[str], None]) -> None:
    sizes = {page: (BOOK / page).stat().st_size / 1e6 for page in PAGES}
    measured("MB    page\n" + "\n".join(f"{size:.2f}  {page}" for page, size in sizes.items()))
    assert not {page: size for page, size in sizes.items() if size > MEGABYTES}


def test_the_book_is_complete() -> None:
    assert [Path(page).stem for page in CHAPTERS] == sorted(p.stem for p in (ROOT / "notebooks").glob("*.ipynb"))
