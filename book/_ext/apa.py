"""The bibliography's style, near to the APA's: authors (year). Title. *Where*, volume(number), pages. Links."""

from pybtex.plugin import register_plugin
from pybtex.style.formatting import toplevel
from pybtex.style.formatting.plain import Style as Plain
from pybtex.style.formatting.unsrt import pages
from pybtex.style.template import field, first_of, href, join, names, optional, sentence, tag, words


class Style(Plain):
    """One form for articles, conference papers, books and the rest."""

    default_name_style = "lastfirst"
    default_sorting_style = "author_year_title"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs, abbreviate_names=True)

    def _template(self, entry):
        venue = first_of[
            optional[tag("em")[field("journal")]],
            optional[tag("em")[field("booktitle")]],
            optional[field("publisher")],
            field("howpublished"),
        ]
        volume = join[field("volume"), optional["(", field("number"), ")"]]
        doi, eprint, url = (field(name, raw=True) for name in ("doi", "eprint", "url"))
        return toplevel[
            words[names("author", sep=", ", sep2=", & ", last_sep=", & "), join["(", field("year"), ")."]],
            sentence[field("title")],
            sentence(sep=", ")[venue, optional[volume], optional[pages]],
            optional[href[join["https://doi.org/", doi], join["doi:", doi]]],
            optional[href[join["https://arxiv.org/abs/", eprint], join["arXiv:", eprint]]],
            optional[href[url, url]],
        ]

    get_article_template = get_inproceedings_template = get_book_template = get_misc_template = _template


def setup(app):
    """Make ``:style: apa`` known to the bibliography directive."""
    register_plugin("pybtex.style.formatting", "apa", Style)
    return {"parallel_read_safe": True}
