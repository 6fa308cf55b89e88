"""What is erased from a bucket that keeps versions, as an S3 without one answers."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from visionops_assets.errors import (
    ErasureForbiddenError,
    InvalidRequestError,
    ServerUnreachableError,
)
from visionops_assets.resources import erasing
from visionops_assets.resources.erasing import Eraser
from visionops_assets.settings import load_settings

PAGE = 3


class Bucket:
    """The part of boto3's client that lists and deletes versions, with pages of three."""

    def __init__(
        self, *versions: tuple[str, str], markers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self.kept = dict.fromkeys(versions, "Versions") | dict.fromkeys(markers, "DeleteMarkers")
        self.requests: list[int] = []
        self.listed = 0
        self.refusal: str | None = None
        self.deaf = False

    def get_paginator(self, operation: str) -> "Bucket":
        assert operation == "list_object_versions"
        return self

    def paginate(self, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        assert Bucket == load_settings().s3_bucket
        below = sorted(each for each in self.kept if each[0].startswith(Prefix))
        for start in range(0, max(len(below), 1), PAGE):
            self.listed += 1
            page: dict[str, Any] = {}
            for key, version in below[start : start + PAGE]:
                kind = self.kept[key, version]
                page.setdefault(kind, []).append({"Key": key, "VersionId": version})
            yield page

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        self.requests.append(len(Delete["Objects"]))
        objects = [(each["Key"], each["VersionId"]) for each in Delete["Objects"]]
        if self.refusal:
            return {"Errors": [{"Key": objects[0][0], "Code": self.refusal, "Message": "No."}]}
        for each in objects:
            if not self.deaf:
                self.kept.pop(each, None)
        return {}


def test_all_versions_and_markers_of_a_key_go_and_no_others() -> None:
    others = [("media/a/1.png", "x"), ("media/a.old", "y"), ("media", "z")]
    bucket = Bucket(
        *[("media/a", str(number)) for number in range(7)], *others, markers=(("media/a", "m"),)
    )
    assert Eraser(bucket).erase("media/a") == 8
    assert set(bucket.kept) == set(others)
    assert Eraser(bucket).erase("media/a") == 0, "again: nothing is left"


def test_the_listing_ends_with_the_key() -> None:
    bucket = Bucket(("a", "1"), *[(f"a{number}", "1") for number in range(30)])
    assert Eraser(bucket).erase("a") == 1
    assert bucket.listed == 2, "one page to erase, and one to see that nothing is left"


def test_a_folder_goes_with_what_is_below_it_alone() -> None:
    bucket = Bucket(
        ("shards/1/a", "v"), ("shards/1/b", "w"), ("shards/10/a", "v"), ("shards/1", "v")
    )
    assert Eraser(bucket).erase_below("shards/1") == 2
    assert set(bucket.kept) == {("shards/10/a", "v"), ("shards/1", "v")}


@pytest.mark.parametrize("prefix", ["", "/"])
def test_the_whole_bucket_is_not_erased(prefix: str) -> None:
    bucket = Bucket(("a", "1"))
    with pytest.raises(InvalidRequestError, match="whole bucket"):
        Eraser(bucket).erase_below(prefix)
    assert bucket.kept


def test_requests_have_as_many_versions_as_s3_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "MAX_KEYS", 2)
    bucket = Bucket(*[("a", str(number)) for number in range(3)])
    assert Eraser(bucket).erase("a") == 3
    assert bucket.requests == [2, 1]


def test_a_version_that_the_store_keeps_is_not_reported_as_gone() -> None:
    bucket = Bucket(("a", "1"))
    bucket.deaf = True
    with pytest.raises(ServerUnreachableError, match="still has versions of 'a'"):
        Eraser(bucket).erase("a")


@pytest.mark.parametrize(
    ("code", "error"),
    [("AccessDenied", ErasureForbiddenError), ("InternalError", ServerUnreachableError)],
)
def test_a_refusal_of_a_version_is_an_error_of_ours(code: str, error: type[Exception]) -> None:
    bucket = Bucket(("a", "1"))
    bucket.refusal = code
    with pytest.raises(error, match="'a'"):
        Eraser(bucket).erase("a")


def test_a_version_that_somebody_else_removed_is_no_error() -> None:
    class Racing(Bucket):
        def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
            self.kept.clear()
            return super().delete_objects(Bucket, Delete)

    bucket = Racing(("a", "1"))
    bucket.refusal = "NoSuchVersion"
    assert Eraser(bucket).erase("a") == 1


class Failing:
    """A client whose listing fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get_paginator(self, operation: str) -> None:
        raise self.error


def test_errors_of_the_listing_are_ours() -> None:
    denied = ClientError(
        {"Error": {"Code": "AccessDenied", "Message": "No."}}, "ListObjectVersions"
    )
    with pytest.raises(ErasureForbiddenError, match="VISIONOPS_S3_ERASURE_ACCESS_KEY_ID"):
        Eraser(Failing(denied)).erase("a")
    away = EndpointConnectionError(endpoint_url="http://nowhere")
    with pytest.raises(ServerUnreachableError, match="nowhere"):
        Eraser(Failing(away)).erase("a")


def test_erasure_has_credentials_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []
    monkeypatch.setattr("boto3.client", lambda _, **options: given.append(options))
    usual = {"s3_access_key_id": "usual", "s3_secret_access_key": "u"}
    own = {"s3_erasure_access_key_id": "own", "s3_erasure_secret_access_key": "o"}
    none = dict.fromkeys(usual | own)
    for names in (usual | own, own | dict.fromkeys(usual), usual | dict.fromkeys(own), none):
        settings = load_settings().model_copy(update=names)
        erasing._connect(settings.model_validate(settings.model_dump() | names))
    assert [each.get("aws_access_key_id") for each in given] == ["own", "own", "usual", None]
    assert given[0]["aws_secret_access_key"] == "o"
