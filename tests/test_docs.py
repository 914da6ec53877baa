"""The pages say what is so: their code runs, and prints what they show.

Blocks marked ``python`` are run, blocks marked ``pycon`` are run and their output compared, in one namespace per page.
"""

import contextlib
import doctest
import io
import re
import traceback
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [p for p in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
         if re.search(r"^ *```(python|pycon)$", p.read_text(encoding="utf-8"), re.MULTILINE)]
BLOCK = re.compile(r"^( *)```(python|pycon)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(page):
    """Yield (line, language, source) of the blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        indent, language, source = found.groups()
        lines = [line.removeprefix(indent) for line in source.splitlines(keepends=True)]
        yield text.count("\n", 0, found.start(3)) + 1, language, "".join(lines)


def run(example, names):
    """Return what an interactive example prints, its exception as the interpreter shows it."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(example.source, "<stdin>", "single"), names)
        except Exception as error:
            if example.exc_msg is None:
                raise
            return "".join(traceback.format_exception_only(error)), example.exc_msg
    return out.getvalue(), example.want


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_the_code_of_a_page_runs_and_prints_what_it_shows(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a page may write pictures
    names = {"__name__": "model"}
    check = doctest.OutputChecker().check_output
    for line, language, source in blocks(page):
        where = f"{page.name}:{line}"
        if language == "python":
            exec(compile(source, "model.py", "exec"), names)
            continue
        for example in doctest.DocTestParser().get_examples(source):
            got, want = run(example, names)
            assert check(want, got, FLAGS), f"{where}+{example.lineno}: {example.source}\nshown:\n{want}\nis:\n{got}"


def test_the_readme_shows_a_graph():
    assert "graph f(" in (ROOT / "README.md").read_text(encoding="utf-8")


LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)")


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(page):
    targets = [t for t in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in t]
    missing = [t for t in targets if not (page.parent / t).exists()]
    assert not missing
