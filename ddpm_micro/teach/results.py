"""The measured results that the book shows, as they are kept in ``book/results``."""

from __future__ import annotations

import json
from pathlib import Path


def book() -> Path:
    """The checkout's ``book``, seen from the folder in which the notebook runs.

    Raises
    ------
    ValueError
        Outside a checkout.
    """
    here = Path.cwd()
    for place in (here, *here.parents, here / "ddpm_micro"):  # the last: where a clone lies in Colab
        if (place / "book" / "results").is_dir():
            return place / "book"
    raise ValueError(
        f"expected to run in a checkout of ddpm_micro, which holds book/results, got {here}; "
        "git clone https://github.com/ddpm-micro/ddpm_micro"
    )


def load(name: str) -> list[dict]:
    """The records of ``book/results/NAME.json``.

    Raises
    ------
    ValueError
        Outside a checkout, or if there is no such file, with those that there are.
    """
    path = book() / "results" / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.json")))
        raise ValueError(f"no results {name!r}; expected one of {known}")
    return json.loads(path.read_text("utf-8"))
