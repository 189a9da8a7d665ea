"""How README and docs/ become a site: `make docs`. Pages link each other as they do in the repository."""

import re

from sphinx.application import Sphinx

project = html_title = "evacli"
author = "the authors of evacli"
project_copyright = author

extensions = ["myst_parser"]
myst_enable_extensions = ["html_image"]
myst_heading_anchors = 3

# Read from the root of the repository, so that a link means the same here and there.
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "examples/*.md", "examples/*/*.md", "benchmarks/*.md"]
exclude_patterns = [".*", "evacli", "tests", "docs/site"]
suppress_warnings = ["toc.no_title"]  # examples/lr-regret/table.md is a table alone

smartquotes = False  # --lr is no dash

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "to-readme.html"}
templates_path = ["templates"]
html_copy_source = html_show_sourcelink = html_show_sphinx = False
html_domain_indices = html_use_index = False
highlight_language = "text"
pygments_style, pygments_dark_style = "default", "monokai"


def add_contents(_app: Sphinx, page: str, source: list[str]) -> None:
    """Make the list of pages that ends the README the site's contents: what it leaves out, the strict build finds."""
    if page != root_doc:
        return
    groups = re.split(r"^### ", source[0].partition("\n## All pages\n")[2], flags=re.MULTILINE)[1:]
    for group in groups:
        caption, _, links = group.partition("\n")
        pages = "\n".join(re.findall(r"^- \[.*?\]\((\S+)\.md\)", links, flags=re.MULTILINE))
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n"


def setup(app: Sphinx) -> None:
    """Say when to do that."""
    app.connect("source-read", add_contents)
