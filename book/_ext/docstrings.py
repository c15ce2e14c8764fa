"""Docstrings are written to be read in the source; here is what Sphinx would take for markup and is none."""

import re


def as_written(app, what, name, obj, options, lines):
    """Keep bars as in ``|F|`` as they are, and lists of shared parameters in a module's docstring line by line."""
    for number, line in enumerate(lines):
        parts = re.split(r"(``.+?``)", line)  # literals are left alone
        lines[number] = "".join(part if part.startswith("``") else re.sub(r"(?<!\\)\|", r"\|", part) for part in parts)
    heads = [number for number, line in enumerate(lines) if line.endswith("these parameters:")]
    if what == "module" and heads:
        first = heads[0] + 1
        last = next((n for n in range(first, len(lines)) if lines[n].startswith("They return")), len(lines))
        lines[heads[0]] += ":"
        lines[first:last] = [f"    {line}".rstrip() for line in lines[first:last]]


def setup(app):
    """Run before napoleon reads the docstrings."""
    app.connect("autodoc-process-docstring", as_written, priority=400)
    return {"parallel_read_safe": True}
