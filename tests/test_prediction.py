"""Predictions: what is asked, what each guess is told, and that each home of a question shows the same."""

import html
import html.parser
import json
import math
import re
from collections.abc import Iterator

import pytest

from ddpm_micro.teach import checks, prediction
from ddpm_micro.teach.prediction import PASS, Prediction
from ddpm_micro.teach.predictions import PREDICTIONS

CHOICE = Prediction("Which?", {"frames": "Light.", "<b>both</b>": "No </script>."}, right="frames")
NUMBER = Prediction("How many?", {1: "More.", 3.01: "The bound is 3.", math.inf: "Less."}, right=2.7, unit="dB")


@pytest.fixture(autouse=True)
def asked_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(PREDICTIONS, "choice", CHOICE)
    monkeypatch.setitem(PREDICTIONS, "number", NUMBER)
    monkeypatch.setattr(prediction, "said", {})
    monkeypatch.setattr(checks, "_seen", {})  # other tests try exercises in this process
    return


@pytest.mark.parametrize(
    ("it", "guess", "told"),
    [
        (CHOICE, "frames", "Right. Light."),
        (CHOICE, "<b>both</b>", "No </script>."),
        (CHOICE, PASS, "The answer is: frames. Light."),
        (NUMBER, "0.5", "More."),
        (NUMBER, "3", "Right. The bound is 3."),
        (NUMBER, "12", "Less."),
        (NUMBER, PASS, "The answer is: 2.7 dB. The bound is 3."),
    ],
)
def test_each_guess_is_told_what_it_is_worth(it: Prediction, guess: str, told: str) -> None:
    assert it.told(guess) == told


@pytest.mark.parametrize(("it", "guess"), [(CHOICE, "Frames"), (NUMBER, "many"), (NUMBER, ""), (NUMBER, "nan")])
def test_what_is_no_answer_is_refused(it: Prediction, guess: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        it.told(guess)


@pytest.mark.parametrize("name", list(PREDICTIONS))
def test_a_question_can_be_answered(name: str) -> None:
    it = PREDICTIONS[name]
    assert it.question.endswith("?") and "\n" not in it.question
    assert len(it.answers) >= 2 and len(set(it.answers.values())) == len(it.answers)
    assert all(re.match(r"(?:[A-Z0-9]|v |x_t ).*[.!)]$", sentences) for sentences in it.answers.values())
    assert it.told(str(it.right)).startswith("Right. ")
    if it.numeric:
        limits = list(it.answers)
        assert limits == sorted(limits) and limits[-1] == math.inf
    else:
        assert not {"yes", "no"} & {str(choice).lower() for choice in it.answers}


class Page(html.parser.HTMLParser):
    """The items and the script of a question in HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.items: list[str] = []
        self.script, self.inside = "", ""
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.inside = tag
        self.tags.append((tag, dict(attrs)))
        if tag == "li":
            self.items.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "li":
            self.items[-1] += data
        elif self.inside == "script":
            self.script += data


def test_a_page_without_a_kernel_holds_every_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPM_MICRO_SLIDERS", "frames")
    choice, number = (Page(checks.predict(name)._repr_html_()) for name in ("choice", "number"))
    assert choice.items == list(CHOICE.answers) and number.items == []
    assert json.loads(choice.script)["answers"] == [[guess, CHOICE.told(guess)] for guess in CHOICE.answers]
    assert json.loads(number.script)["limits"] == [
        [1, "More."],
        [3.01, "Right. The bound is 3."],
        [None, "Less."],
    ]
    group = dict(choice.tags)["div"]
    assert group["role"] == "group" and group["aria-labelledby"] in {tag.get("id") for _, tag in choice.tags}


def test_as_text_a_question_has_its_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPM_MICRO_SLIDERS", "frames")
    assert repr(checks.predict("choice")) == "Predict first. Which?\nframes / <b>both</b>"
    assert repr(checks.predict("number")) == "Predict first. How many?\n(a number, in dB)"


def test_a_live_choice_answers_and_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DDPM_MICRO_SLIDERS", raising=False)
    question, frames, both, passing, status = checks.predict("choice").children
    assert "Which?" in question.value and not status.value
    assert checks.progress() == "choice            not answered"
    both.click()
    assert "You said: <strong>&lt;b&gt;both" in status.value and "No &lt;/script&gt;." in status.value
    passing.click()
    assert "The answer is: frames" in status.value
    frames.click()
    assert "Right. Light." in status.value
    assert checks.progress() == "choice            you said frames, the answer is frames"


def test_a_live_number_takes_a_comma_and_refuses_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DDPM_MICRO_SLIDERS", raising=False)
    _, asking, _, status = checks.predict("number").children
    field, commit = asking.children
    field.value = "many"
    commit.click()
    assert "Expected a number" in status.value and checks.progress().endswith("not answered")
    field.value = " 2,7 "
    commit.click()
    assert "Right. The bound is 3." in status.value
    assert checks.progress().endswith("you said 2.7, the answer is 2.7 dB")


@pytest.mark.parametrize("name", list(PREDICTIONS))
def test_every_question_is_answered_live(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here with ipywidgets 8, and in test_colab.py with 7.7.1."""
    monkeypatch.delenv("DDPM_MICRO_SLIDERS", raising=False)
    it = PREDICTIONS[name]
    _, *asking, passing, status = checks.predict(name).children
    if it.numeric:
        field, commit = asking[0].children
        for guess in (limit for limit in it.answers if not math.isinf(limit)):
            field.value = str(guess)
            commit.click()
            assert html.escape(it.told(str(guess))) in status.value
    else:
        assert [button.description for button in asking] == list(it.answers)
        for button in asking:
            button.click()
            assert html.escape(it.told(button.description)) in status.value
    passing.click()
    assert html.escape(it.told(PASS)) in status.value


def test_an_unknown_question_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no prediction 'choise'; did you mean 'choice'\?"):
        checks.predict("choise")
