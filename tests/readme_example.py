"""Run the examples of README.md as a reader would: in order, in one empty folder, stopping at the first that fails.

A fenced block runs if the comment ``<!-- run -->`` stands on the line before it. A ``python`` block is run as one
program. In a ``console`` block the lines that start with ``$ `` are run, with what follows a trailing backslash; the
rest is output, there for the reader.

    python tests/readme_example.py [FILE.md]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCK = re.compile(r"^<!-- run -->[ \t]*\n(?:[ \t]*\n)?```(\w+)[^\n]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)$", re.MULTILINE)


def examples(markdown: str) -> list[tuple[str, str]]:
    """The marked blocks of a Markdown text as (language, what to run), in their order.

    Raises
    ------
    ValueError
        There is no marked block, a mark has no fenced block after it, or a block is neither ``python`` nor ``console``.
    """
    blocks = BLOCK.findall(markdown)
    marks = len(re.findall(r"^<!-- run -->", markdown, re.MULTILINE))
    if not blocks or len(blocks) != marks:
        raise ValueError(
            f"{marks} marks '<!-- run -->' and {len(blocks)} fenced blocks after them; there should be one each"
        )
    found = []
    for language, body in blocks:
        if language == "console":
            found += [("console", command) for command in COMMAND.findall(body)]
        elif language == "python":
            found.append(("python", body))
        else:
            raise ValueError(f"a marked block is 'python' or 'console', this one is '{language}'")
    return found


def run(language: str, source: str, folder: Path) -> int:
    """Run one example in `folder` with this interpreter's programs first on the path; the exit status."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "MPLBACKEND": "Agg"}
    command = [sys.executable, "-c", source] if language == "python" else ["bash", "-euo", "pipefail", "-c", source]
    return subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=README)
    file = parser.parse_args().file
    try:
        todo = examples(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"{file}: {error}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="readme-") as folder:
        for language, source in todo:
            print("$ " + source if language == "console" else source.rstrip(), flush=True)
            start = time.perf_counter()
            status = run(language, source, Path(folder))
            verdict = f"FAILED with exit status {status}" if status else "ok"
            print(f"# {verdict}, {time.perf_counter() - start:.1f} s\n", flush=True)
            if status:
                return 1
    print(f"{len(todo)} examples of {file.name} ran")
    return 0


if __name__ == "__main__":
    sys.exit(main())
