"""The exit code of a check says whether anything is bad, wherever in the list that is."""

import pytest
import typer

from visionops_assets.cli.findings import show
from visionops_assets.findings import Finding, Grade


@pytest.mark.parametrize(
    ("grades", "code"),
    [
        ([], 0),
        ([Grade.OK, Grade.OK], 0),
        ([Grade.BAD], 1),
        ([Grade.BAD, Grade.OK], 1),
        ([Grade.OK, Grade.BAD], 1),
    ],
)
def test_one_bad_finding_is_a_no(
    grades: list[Grade], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = [Finding("kafka", grade, "answers") for grade in grades]
    with pytest.raises(typer.Exit) as ended:
        show(findings, as_json=False, width=8)
    assert ended.value.exit_code == code
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{grade:4}  kafka     answers" for grade in grades]
