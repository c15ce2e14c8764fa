"""Renew the README's table of the four simulated sets from ``book/results/benchmark.json``.

python book/experiments/suite.py && python book/experiments/benchmark.py
"""

from __future__ import annotations

from common import TITLES, load, markdown, renew_table

from ddpm_micro import simulate

METHODS = (
    "raw", "gaussian", "nlm", "tv", "richardson_lucy", "n2v", "care", "ddpm", "ddpm_avg", "ddpm_pair", "ddpm_pairs",
    "one_call",
)  # fmt: skip


def table(records: list[dict]) -> str:
    """Median PSNR as Markdown: a row for each method, a column for each set, the best of each column in bold."""
    psnr = {(r["set"], r["method"]): r["median"] for r in records if r["metric"] == "psnr"}
    best = {name: max(METHODS, key=lambda method: psnr[name, method]) for name in simulate.NAMES}

    def cell(name: str, method: str) -> str:
        value = f"{psnr[name, method]:.2f}"
        return f"**{value}**" if best[name] == method else value

    rows = [[TITLES[method], *(cell(name, method) for name in simulate.NAMES)] for method in METHODS]
    return markdown(["", *simulate.NAMES], rows)


if __name__ == "__main__":
    renew_table("benchmark", table(load("benchmark")))
