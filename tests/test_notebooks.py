"""The notebooks: each .ipynb says what its Markdown source says, and each chapter takes the minutes that it names."""

import ast
import math
import re
from pathlib import Path

import jupytext
import nbformat
import pytest

from ddpm_micro.teach.predictions import PREDICTIONS

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
    told = "the exercise" if exercises == 1 else f"the {words.get(exercises)} exercises"
    assert not exercises or told in " ".join(head.split())
    assert not more or f"{words[rounded_more]} more with the section" in head
    for page, told in {"index.md": f"| {rounded} |", "instructors.md": f"| {rounded} | {exercises} |"}.items():
        text = (ROOT / "book" / page).read_text("utf-8")
        table = re.search(r"<!-- chapters -->(.*?)<!-- /chapters -->", text, re.DOTALL)[1]
        (row,) = re.findall(rf"^\|.*notebooks/{source.stem}.ipynb.*\|$", table, re.MULTILINE)
        assert told in row


def code_cells(source: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in jupytext.read(source).cells if cell.cell_type == "code"]


def names(cell: nbformat.NotebookNode, kind: type) -> set[str]:
    """Variables that a cell sets outside of functions, or that it reads from outside of them."""
    plain = re.sub(r"^(\s*)[%!].*", r"\1pass", cell.source, flags=re.MULTILINE)  # commands of the notebook, not Python
    found = set()
    for part in ast.parse(plain).body:
        inner = [node for node in ast.walk(part) if isinstance(node, ast.Name)]
        if not isinstance(part, (ast.FunctionDef, ast.ClassDef)):
            found |= {node.id for node in inner if isinstance(node.ctx, kind)}
        elif kind is ast.Load:
            own = {node.arg for node in ast.walk(part) if isinstance(node, ast.arg)}
            own |= {node.id for node in inner if isinstance(node.ctx, ast.Store)}
            found |= {node.id for node in inner if isinstance(node.ctx, kind)} - own
    return found


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_what_only_draws_is_folded_and_what_is_folded_only_draws(source: Path) -> None:
    """One rule: a cell that draws is folded in the book, in JupyterLab and in Colab; it prints and computes nothing."""
    cells = code_cells(source)
    folded = [cell.metadata.get("tags") == ["hide-input"] for cell in cells]
    for number, cell in enumerate(cells):
        draws = bool(re.search(r"plt\.(?!rcParams)|plots\.(show|images)|\baxe?s?\.", cell.source))
        assert draws == folded[number] or "widgets." in cell.source, cell.source
        assert cell.metadata.get("cellView") == ("form" if folded[number] else None)
        assert cell.metadata.get("jupyter") == ({"source_hidden": True} if folded[number] else None)
        assert cell.source.startswith("# @title ") == folded[number]
        if folded[number]:
            assert "print(" not in cell.source, cell.source
            used = {
                name
                for other, hidden in zip(cells[number:], folded[number:])
                if not hidden
                for name in names(other, ast.Load)
            }
            set_again = {name for other, hidden in zip(cells, folded) if not hidden for name in names(other, ast.Store)}
            assert not names(cell, ast.Store) & (used - set_again), "a folded cell computes what a later one needs"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_figures_have_one_look(source: Path) -> None:
    text = source.read_text("utf-8")
    assert not re.findall(r"#[0-9A-Fa-f]{6}\b|\"(?:black|red|green|blue|orange|tab:\w+)\"", text)
    assert ("plots.style()" in text) == ("plt." in text)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_question_is_asked_before_a_result_and_answered_after_it(source: Path) -> None:
    cells = jupytext.read(source).cells
    for number, cell in enumerate(cells):
        asked = re.fullmatch(r'checks\.predict\("(\w+)"\)', cell.source)
        assert (cell.metadata.get("tags") == ["remove-input"]) == bool(asked) == ("checks.predict" in cell.source)
        if asked:
            kinds = [other.cell_type for other in cells[number + 1 :]]
            assert kinds[0] == "code" and "markdown" in kinds  # a result, and then words


def test_every_question_is_asked_once() -> None:
    asked = [
        name for source in SOURCES for name in re.findall(r'checks\.predict\("(\w+)"\)', source.read_text("utf-8"))
    ]
    assert sorted(asked) == sorted(PREDICTIONS)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_chapter_ends_in_five_questions_with_answers_folded(source: Path) -> None:
    section = source.read_text("utf-8").split("\n## Five questions\n")[1]
    assert re.findall(r"<summary>(\d)\. [^<$]+[.?]</summary>", section) == list("12345")


def test_badges_lead_to_notebooks_that_exist() -> None:
    targets = re.findall(r"notebooks/\w+\.ipynb", (ROOT / "README.md").read_text("utf-8"))
    assert len(targets) >= 2
    assert all((ROOT / target).is_file() for target in targets)
