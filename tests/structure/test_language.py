"""Plain English: the forms that were found hard to read are in no docstring, comment or message."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Comments of columns in migrations are in databases: they stay as they were applied.
FILES = sorted(
    path
    for folder in ("visionops_assets", "triton_models", "benchmarks", "deploy/monitoring", "docs")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts and "schema" not in path.parts
)
PAGES = [
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "deploy/RUNBOOKS.md")),
]
COUNTED = (
    "bar|call|class|core|engine|figure|file|frame|group|image|line|message|module|object|one|pod|"
    "point|process|record|replica|request|row|run|sample|series|session|stage|step|task|test|"
    "thread|worker"
)
HARD_FORMS = {
    "a clause that begins with 'What', not a question": r"^What\b(?![^.]*\?)",
    "'of which'": r"\bof wh(?:ich|om)\b",
    "'so many'": r"\bso many\b(?! that\b| as\b)",
    "'that which'": r"\b(?:that|those) which\b",
    "'in the place of' for 'in place of'": r"\bin the place of\b",
    "'broken off' for 'interrupted'": r"\bbroken? off\b",
    "'held out' for 'in the holdout'": r"\b(?:held|kept)[ -](?:back|out)\b",
    "'trial' for 'rollout'": r"\btrials?\b(?!\.py)",
    "'hang together'": r"\bhangs? together\b",
    "'by which it'": r"\bby which (?:it|they)\b",
    "'is none'": r"\bthere (?:is|are) none\b|\b(?:is|are) none[.,;:]",
    "'nothing to tell'": r"\bnothing to (?:tell|do|show|draw|say)\b",
    "'a' for 'per'": rf"\b(?:a|an|one) (?:{COUNTED}) an? \w+",
    "'a' for 'per', after a number": rf"(?<!a )\b\d[\d.,]* an? (?:{COUNTED}|label|prediction)\b",
    "'a' for 'per', after a unit": r"\d (?:ms|us|s|kB|MB|MiB|GB|bytes) an? \w+",
}
NO_VERBS = {"A", "An", "How", "The", "This", "What", "When", "Where", "Whether", "Which", "Who"}


def spoken(path: Path) -> Iterator[tuple[int, str]]:
    """Yield what a module says, with its line: strings of more than a word, and comments."""
    source = path.read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, " ".join(node.value.split())
    yield from comments(source)


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield the comments; lines that follow each other are one."""
    begun, last, words = 0, -1, ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        line, text = token.start[0], token.string.lstrip("#: ")
        if line == last + 1:
            words += f" {text}"
        else:
            yield begun, words
            begun, words = line, text
        last = line
    yield begun, words


def paragraphs(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs of a page, without its blocks of code."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for number, paragraph in enumerate(text.split("\n\n")):
        yield number, " ".join(paragraph.split())


def hard_forms(texts: Iterator[tuple[int, str]]) -> list[str]:
    return [
        f"{place}: {name}: ...{text[max(0, found.start() - 30) : found.end() + 30]}..."
        for place, text in texts
        for name, form in HARD_FORMS.items()
        if (found := re.search(form, text))
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_speaks_plainly(path: Path) -> None:
    assert hard_forms(spoken(path)) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_speaks_plainly(path: Path) -> None:
    assert hard_forms(paragraphs(path)) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_docstring_of_a_function_begins_with_a_verb(path: Path) -> None:
    nouns = [
        f"{node.lineno}: {node.name}: {text.splitlines()[0]}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (text := ast.get_docstring(node))
        and text.split()[0] in NO_VERBS
    ]
    assert nouns == []


@pytest.mark.parametrize(
    "text",
    [
        "What is left of it. None.",
        "Draw one bar a class.",
        "It takes 0.1 ms a label.",
        "Return the model, if there is none.",
        "Wait so many seconds.",
        "It makes 7 a file.",
        "A fifth of the groups is held out.",
        "It lost its trial.",
    ],
)
def test_a_hard_form_is_found(text: str) -> None:
    assert hard_forms(iter([(1, text)]))


@pytest.mark.parametrize(
    "text",
    [
        "What serves?",
        "Look once a day.",
        "It is none of ours.",
        "There are so many that.",
        "After a 201 a file is safe.",
    ],
)
def test_plain_english_is_not(text: str) -> None:
    assert not hard_forms(iter([(1, text)]))
