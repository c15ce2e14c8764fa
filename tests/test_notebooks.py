"""The notebooks: each .ipynb says what its Markdown source says, and each chapter takes the minutes that it names."""

import math
import re
from pathlib import Path

import jupytext
import nbformat
import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "notebooks").glob("*.md"))


def test_every_notebook_has_a_source() -> None:
    assert SOURCES and {p.stem for p in SOURCES} == {p.stem for p in (ROOT / "notebooks").glob("*.ipynb")}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_is_its_source_without_outputs(source: Path) -> None:
    """If this fails: jupytext --to ipynb --update notebooks/NAME.md"""
    written, notebook = jupytext.read(source), nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert [(c.cell_type, c.source, c.metadata.get("tags")) for c in notebook.cells] == [
        (c.cell_type, c.source, c.metadata.get("tags")) for c in written.cells
    ]
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells)
    assert "widgets" not in notebook.metadata


def reading(source: Path) -> tuple[float, float, int]:
    """Minutes of reading and trying, those of the sections marked *More*, and the number of exercises.

    200 words, two cells, four folded cells, a prediction or a slider a minute; the five questions at the end come on
    top, like the exercises.
    """
    text = re.sub(r"\A---.*?^---$", "", source.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    minutes, exercises = {False: 0.0, True: 0.0}, 0
    for section in re.split(r"^## ", text, flags=re.MULTILINE):
        prose, cells = re.subn(r"^```\{code-cell\}.*?^```$", "", section, flags=re.DOTALL | re.MULTILINE)
        asked = len(re.findall(r"^### Exercise", section, flags=re.MULTILINE))
        if section.startswith("Five questions"):
            continue
        words = len(re.findall(r"[A-Za-z']{2,}", prose)) / 200
        predicted, folded = section.count("checks.predict("), section.count("[hide-input]")
        words += len(re.findall("Before you (?:run|move)", section))
        played = predicted + section.count("widgets.") + (cells - asked - predicted - folded) / 2 + folded / 4
        minutes[section.startswith("More:")] += words + played
        exercises += asked
    return minutes[False], minutes[True], exercises


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_chapter_takes_the_minutes_that_it_names(source: Path) -> None:
    minutes, more, exercises = reading(source)
    rounded, rounded_more = (5 * math.ceil(round(part, 1) / 5) for part in (minutes, more))
    words = {2: "two", 3: "three", 4: "four", 5: "five", 10: "ten", 15: "fifteen"}
    head = source.read_text("utf-8").split("**You need**")[0].split("**It takes**")[1]
    assert f"about {rounded} minutes" in head or f"about {words.get(rounded)} minutes" in head
    assert rounded <= 30  # what one sits through before a break, with the predictions and what is said of each guess
    assert not exercises or f"the {words[exercises]} exercises" in " ".join(head.split())
    assert not more or f"{words[rounded_more]} more with the section" in head
    for page, told in {"index.md": f"| {rounded} |", "instructors.md": f"| {rounded} | {exercises} |"}.items():
        text = (ROOT / "book" / page).read_text("utf-8")
        table = re.search(r"<!-- chapters -->(.*?)<!-- /chapters -->", text, re.DOTALL)[1]
        (row,) = re.findall(rf"^\|.*notebooks/{source.stem}.ipynb.*\|$", table, re.MULTILINE)
        assert told in row


def test_badges_lead_to_notebooks_that_exist() -> None:
    targets = re.findall(r"notebooks/\w+\.ipynb", (ROOT / "README.md").read_text("utf-8"))
    assert len(targets) >= 2
    assert all((ROOT / target).is_file() for target in targets)
