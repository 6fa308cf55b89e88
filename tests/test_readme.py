"""The README is short, and leads to pages that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
MAX_WORDS = 600
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)")


def test_the_readme_can_be_read_in_three_minutes() -> None:
    assert len(TEXT.split()) <= MAX_WORDS


def test_it_has_one_picture_two_commands_ten_lines_and_five_promises() -> None:
    two, ten = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    promises = TEXT.partition("## What is promised")[2].partition("\n## ")[0]
    assert TEXT.count("![") == 1
    assert len(two.splitlines()) == 2
    assert len(ten.splitlines()) == 10
    assert promises.count("\n- **") == 5


@pytest.mark.parametrize("link", LINK.findall(TEXT))
def test_a_link_leads_to_a_page(link: str) -> None:
    assert link.startswith("https://") or (ROOT / link).exists()
