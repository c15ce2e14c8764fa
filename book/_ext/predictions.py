"""A Sphinx extension: outputs that answer a prediction are folded until the reader has answered or opens them."""

from docutils import nodes
from sphinx.application import Sphinx

ASKS = "tag_remove-input"  # the class of a cell that holds checks.predict(...) and nothing else


def fold(app: Sphinx, doctree: nodes.document) -> None:
    """Put a disclosure round each output between a question and the next text."""
    for asking in doctree.findall(lambda node: isinstance(node, nodes.container) and ASKS in node["classes"]):
        following = asking.parent.children[asking.parent.index(asking) + 1 :]
        for cell in following:
            if not (isinstance(cell, nodes.container) and "cell" in cell["classes"]) or ASKS in cell["classes"]:
                break
            for part in cell.children:
                if part.get("nb_element") == "cell_code_output":
                    part.insert(
                        0, nodes.raw("", '<details class="predicted"><summary>The result</summary>', format="html")
                    )
                    part.append(nodes.raw("", "</details>", format="html"))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", fold)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
