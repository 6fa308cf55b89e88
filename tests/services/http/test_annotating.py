"""The doors of annotations: whom one is for, and in which form."""

import json

import pytest

from tests.declared import declaration
from visionops_assets.errors import InvalidRequestError
from visionops_assets.models import ModelDeclaration
from visionops_assets.models import declaration as module
from visionops_assets.services.http.annotating import (
    UnknownClassError,
    UnknownModelError,
    asked_model,
    read_annotation,
    require_classes,
    said_of_media,
)
from visionops_assets.tasks.registry import TASKS


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> list[ModelDeclaration]:
    """Return a model that gives one label, which is the default one, and one that gives several."""
    monkeypatch.setattr(module, "OFFERED", TASKS)
    one = declaration("one", media={"sources": ["gate-?", "yard"]})
    several = {"name": "several", "task": "multilabel", "media": {"sources": ["yard", "door*"]}}
    return [one, ModelDeclaration.model_validate(several)]


@pytest.mark.parametrize(
    ("source", "named", "said"),
    [
        ("gate-1", None, {"label": "a, b"}),
        ("yard", None, {"label": "a, b"}),
        ("door-7", None, {"labels": ["a", "b"]}),
        ("gate-10", None, {"label": "a, b"}),
        ("gate-1", "several", {"labels": ["a", "b"]}),
        ("door-7", "one", {"label": "a, b"}),
    ],
)
def test_a_label_of_a_file_has_the_form_of_the_model_that_looks_at_it(
    models: list[ModelDeclaration], source: str, named: str | None, said: object
) -> None:
    assert said_of_media(models, "a, b", source, named) == said


def test_a_label_that_is_none_of_the_task_is_refused(models: list[ModelDeclaration]) -> None:
    with pytest.raises(InvalidRequestError, match="must not name one label twice"):
        said_of_media(models, "a,a", "door", None)
    with pytest.raises(UnknownModelError, match="There are: one, several"):
        said_of_media(models, "a", "door", "none")


def test_a_body_is_read_by_the_task_of_its_model(models: list[ModelDeclaration]) -> None:
    one, several = models
    assert asked_model(models, None) is one
    assert asked_model(models, "several") is several
    assert read_annotation(b'{"label": " a "}', one) == {"label": "a"}
    assert read_annotation(b'{"labels": ["b", "a"]}', several) == {"labels": ["a", "b"]}
    assert read_annotation(b"null", one) is None
    for body, model in ((b'{"labels": []}', one), (b'{"label": "a"}', several)):
        with pytest.raises(InvalidRequestError, match="Field required"):
            read_annotation(body, model)
    for body in (b"", b"{", b"NaN", b"\xff"):
        with pytest.raises(InvalidRequestError, match="The body is no JSON"):
            read_annotation(body, one)


def test_a_class_that_the_model_does_not_have_is_told(models: list[ModelDeclaration]) -> None:
    one, several = models
    require_classes({"label": "a"}, one, {"a", "b"})
    require_classes({"labels": []}, several, {"a", "b"})
    require_classes({"label": "c"}, one, set())
    with pytest.raises(UnknownClassError, match=r"one has no class 'c'. It has: a, b."):
        require_classes({"label": "c"}, one, {"a", "b"})
    with pytest.raises(UnknownClassError, match="several has no class 'c', 'd'"):
        require_classes({"labels": ["a", "c", "d"]}, several, {"a", "b"})
    many = {f"{number:03}" for number in range(30)}
    with pytest.raises(UnknownClassError) as refused:
        require_classes({"label": "c"}, one, many)
    assert "019, ..." in str(refused.value)
    assert "020" not in str(refused.value)
    assert json.dumps("c") not in str(refused.value)
