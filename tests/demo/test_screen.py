import io

from pydantic import SecretStr
from rich.console import Console

from visionops_assets.demo.screen import show_link


def test_a_link_is_on_one_line_however_narrow_the_terminal_is() -> None:
    url = f"http://127.0.0.1:8081/#once={'x' * 43}"
    shown = io.StringIO()
    show_link(Console(file=shown, width=40), SecretStr(url))
    assert url in shown.getvalue().splitlines()
