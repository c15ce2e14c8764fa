"""Renew the README's table of the four simulated sets from ``book/results/benchmark.json``.

python book/experiments/suite.py && python book/experiments/benchmark.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from ddpm_micro import simulate

ROOT = Path(__file__).resolve().parents[2]
METHODS = {
    "raw": "raw",
    "gaussian": "Gaussian",
    "nlm": "non-local means",
    "tv": "total variation",
    "richardson_lucy": "Richardson-Lucy",
    "n2v": "Noise2Void",
    "care": "CARE (regression)",
    "ddpm": "one sample",
    "ddpm_avg": "mean of 15",
    "ddpm_pair": "mean of 2, antithetic",
    "ddpm_pairs": "mean of 4, antithetic",
    "one_call": "one call",
}


def main() -> None:
    records = json.loads((ROOT / "book/results/benchmark.json").read_text("utf-8"))
    readme = ROOT / "README.md"
    renewed = re.sub(
        r"(<!-- benchmark table -->\n).*?(<!-- end -->)",
        lambda found: found[1] + table(records) + found[2],
        readme.read_text("utf-8"),
        flags=re.DOTALL,
    )
    readme.write_text(renewed, "utf-8")


def table(records: list[dict]) -> str:
    """Median PSNR as Markdown: a row a method, a column a set, the best of each column in bold."""
    psnr = {(r["set"], r["method"]): r["median"] for r in records if r["metric"] == "psnr"}
    best = {name: max(METHODS, key=lambda method: psnr[name, method]) for name in simulate.NAMES}
    rows = ["| | " + " | ".join(simulate.NAMES) + " |", "|---" * (1 + len(simulate.NAMES)) + "|"]
    for method, title in METHODS.items():
        cells = (
            f"**{psnr[n, method]:.2f}**" if best[n] == method else f"{psnr[n, method]:.2f}" for n in simulate.NAMES
        )
        rows.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()
