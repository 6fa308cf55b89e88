import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from visionops_assets.cli.screen import printable


@given(st.text())
def test_foreign_text_is_shown_without_markup_or_control(text: str) -> None:
    screen = io.StringIO()
    Console(file=screen, width=10_000, color_system="truecolor").print(
        printable(text), end="", soft_wrap=True, highlight=False, emoji=False
    )
    assert all(c.isprintable() for c in screen.getvalue())


def test_plain_text_stays_as_it_is_and_the_rest_is_visible() -> None:
    assert printable("gate 7, Größe") == "gate 7, Größe"
    assert printable("\x1b[2J\n") == "\\x1b[2J\\n"
    assert printable("[red]x") == "\\[red]x"
