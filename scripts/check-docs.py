#!/usr/bin/env python3
"""Every relative link of README.md, docs/ and conformance/ leads to a file, and its anchor to a heading."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def main():
    pages = [page for part in ("*.md", "docs/**/*.md", "conformance/*.md", "examples/**/*.md") for page in ROOT.glob(part)]
    if ROOT / "README.md" not in pages:
        sys.exit("README.md is missing")
    broken = [complaint for page in pages for complaint in check(page)]
    print("\n".join(broken) or f"{len(pages)} pages, every link leads somewhere")
    return 1 if broken else 0


def check(page):
    for target in LINK.findall(without_code(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            yield f"{page.relative_to(ROOT)}: {target} does not exist"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            yield f"{page.relative_to(ROOT)}: {target}: no such heading"


def without_code(page):
    """The text less its fenced blocks and code spans, where brackets are no links."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S))


def anchors(page):
    """The anchors that a Markdown viewer makes of the headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


if __name__ == "__main__":
    sys.exit(main())
