"""Predictions: a question before a result. The reader answers first; then the result says what the guess is worth.

`ask` returns the question as something a notebook shows: live with buttons, and in the built book as plain HTML that
``book/_static/predictions.js`` turns into buttons. The environment variable ``DDPM_MICRO_SLIDERS=frames``, which the
book's build sets, chooses the form that needs no kernel, as it does for the sliders.
"""

from __future__ import annotations

import html
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ddpm_micro.choices import did_you_mean

if TYPE_CHECKING:
    from ipywidgets import VBox

PASS = "I pass"
said: dict[str, str | None] = {}  # what the reader said in this notebook; None where the question was only shown


@dataclass(frozen=True)
class Prediction:
    """One question.

    Attributes
    ----------
    question : str
        Plain text, which ends in a question mark.
    answers : mapping
        What a reader may say, and the sentences that each guess is worth. For a choice the keys are its words. For a
        number they are upper limits, in rising order and with infinity as the last: a guess gets the sentences of the
        first limit that it does not exceed.
    right : str or float
        The best answer: for a choice one of the keys, for a number the number itself.
    unit : str
        Of the number.
    """

    question: str
    answers: Mapping[str | float, str]
    right: str | float
    unit: str = ""

    @property
    def numeric(self) -> bool:
        """Whether the answer is a number."""
        return not isinstance(self.right, str)

    @property
    def best(self) -> str:
        """The best answer as text."""
        return f"{self.right:g} {self.unit}".strip() if self.numeric else self.right

    def told(self, guess: str) -> str:
        """What a guess is worth, in sentences.

        Raises
        ------
        ValueError
            If the guess is none of the choices, or not a number where one is wanted.
        """
        best = self._worth(self.right)
        if guess == PASS:
            return f"The answer is: {self.best}. {best}"
        worth = self._worth(guess)
        return f"Right. {worth}" if worth == best else worth

    def _worth(self, guess: str | float) -> str:
        if not self.numeric:
            if guess not in self.answers:
                raise ValueError(f"expected one of {', '.join(map(str, self.answers))}, got {guess!r}")
            return self.answers[guess]
        try:
            number = float(guess)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            raise ValueError(f"expected a number, got {guess!r}")
        return next(sentences for limit, sentences in self.answers.items() if number <= limit)


@dataclass(frozen=True)
class Asked:
    """A question as a page without a kernel shows it; as text it is the question with its choices."""

    name: str
    prediction: Prediction

    def __repr__(self) -> str:
        it = self.prediction
        choices = f"(a number{f', in {it.unit}' if it.unit else ''})" if it.numeric else " / ".join(it.answers)
        return f"Predict first. {it.question}\n{choices}"

    def _repr_html_(self) -> str:
        it = self.prediction
        data: dict = {"pass": it.told(PASS), "unit": it.unit}
        if it.numeric:
            data["limits"] = [(None if math.isinf(limit) else limit, it.told(str(limit))) for limit in it.answers]
            choices = ""
        else:
            data["answers"] = [(choice, it.told(choice)) for choice in it.answers]
            choices = "".join(f"<li>{html.escape(choice)}</li>" for choice in it.answers)
        script = json.dumps(data).replace("</", r"<\/")  # no text may end the script
        name = f"predict-{html.escape(self.name.replace('_', '-'))}"
        return f"""<div class="prediction" id="{name}" role="group" aria-labelledby="{name}-question">
<p id="{name}-question"><strong>Predict first.</strong> {html.escape(it.question)}</p>
<ul>{choices}</ul>
<p role="status"></p>
<noscript><details><summary>The answer</summary><p>{html.escape(it.told(PASS))}</p></details></noscript>
<script type="application/json">{script}</script>
</div>"""


def ask(name: str) -> Asked | VBox:
    """The question of that name, to be shown by a notebook.

    Raises
    ------
    ValueError
        If there is no such question.
    """
    from ddpm_micro.teach.predictions import PREDICTIONS

    if name not in PREDICTIONS:
        raise ValueError(f"no prediction {name!r}{did_you_mean(name, PREDICTIONS)}")
    said.setdefault(name, None)
    asked = Asked(name, PREDICTIONS[name])
    return asked if os.environ.get("DDPM_MICRO_SLIDERS") == "frames" else _live(asked)


def progress() -> str:
    """What was predicted in this notebook so far, a line a question."""
    from ddpm_micro.teach.predictions import PREDICTIONS

    lines = []
    for name, guess in said.items():
        it = PREDICTIONS[name]
        words = "not answered" if guess is None else f"you said {guess}, the answer is {it.best}"
        lines.append(f"{name:17s} {words}")
    return "\n".join(lines)


def _live(asked: Asked) -> VBox:
    # Only what ipywidgets 7.7 and 8 share, since Colab has the former.
    import ipywidgets

    it = asked.prediction
    wide = {"width": "auto", "max_width": "100%"}
    buttons = [ipywidgets.Button(description=str(text), layout=wide) for text in ([] if it.numeric else it.answers)]
    # Sent when it is whole: digit by digit, from a fast hand, a slow kernel heard the button before the last one.
    number = ipywidgets.Text(
        placeholder="a number", description=it.unit or "number", layout={"width": "15em"}, continuous_update=False
    )
    commit = ipywidgets.Button(description="That is my guess", layout=wide)
    passing = ipywidgets.Button(description=PASS, layout=wide)
    status = ipywidgets.HTML()

    def answer(guess: str) -> None:
        try:
            sentences = it.told(guess)
        except ValueError as error:
            status.value = html.escape(f"{error}.".capitalize())
            return
        said[asked.name] = guess
        status.value = (
            f"<p>You said: <strong>{html.escape(guess)}</strong>. Run the next cell, then open this.</p>"
            f"<details><summary>What your guess tells</summary><p>{html.escape(sentences)}</p></details>"
        )

    for button in (*buttons, passing):
        button.on_click(lambda clicked: answer(clicked.description))
    commit.on_click(lambda _: answer(number.value.strip().replace(",", ".")))
    question = ipywidgets.HTML(f"<p><strong>Predict first.</strong> {html.escape(it.question)}</p>")
    asking = [ipywidgets.HBox([number, commit])] if it.numeric else buttons
    return ipywidgets.VBox([question, *asking, passing, status])
