"""The roles of deploy/terraform, held against what the code does in the bucket."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.deploy.manifests import KUBERNETES, of_kind
from tests.deploy.terraform import (
    BUCKET_ARN,
    TERRAFORM,
    blocks,
    code,
    manifests,
    roles,
    statements,
)
from visionops_assets import __file__ as package_file
from visionops_assets.backup.archive import PREFIX as BACKUPS_PREFIX
from visionops_assets.catalog.forgetting import TOMBSTONES
from visionops_assets.releasing.repository import ASKED_PREFIX, RELEASES_PREFIX
from visionops_assets.resources.tables import TABLES_PREFIX
from visionops_assets.services.sweep import PARTS_PREFIX

NO_ROLE = {"no-access"}
NO_KEYS = {"multipart", "stages", "visionops"}
"""What begins a text as a folder begins a key, and is none."""


def prefixes(action: str) -> dict[str, set[str]]:
    """Prefixes below which an action is allowed, by service account."""
    found: dict[str, set[str]] = {}
    for statement in statements("bucket_access"):
        if action in statement["actions"]:
            keys = [arn.removeprefix(f"{BUCKET_ARN}/") for arn in statement["resources"]]
            found.setdefault(statement["of"], set()).update(key.removesuffix("/*") for key in keys)
    return found


def test_no_policy_allows_more_than_it_names() -> None:
    for statement in statements("bucket_access"):
        assert not any("*" in action for action in statement["actions"])
        for arn in statement["resources"]:
            assert re.fullmatch(rf"{BUCKET_ARN}(/[a-z-]+/\*)?|arn:aws:kms:.+:key/k1", arn), arn
    (secrets,) = statements("secrets_access")
    assert secrets["actions"] == ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
    text = code(TERRAFORM / "identities.tf")
    assert re.findall(r'"arn:.*:secret:(.*)"', text) == ["visionops/*"]


def test_nobody_but_erasure_deletes_versions_and_nobody_changes_the_bucket() -> None:
    allowed: dict[str, set[str]] = {}
    for statement in statements("bucket_access"):
        of_erasure = {"erasure"} & {statement["of"]}
        allowed.setdefault("".join(of_erasure), set()).update(statement["actions"])
    assert allowed["erasure"] - allowed[""] == {
        "s3:DeleteObjectVersion",
        "s3:ListBucketVersions",
    }
    assert allowed[""] == {
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:ListBucketMultipartUploads",
        "s3:ListMultipartUploadParts",
        "s3:PutObject",
    }
    denied = [each for each in statements("bucket") if "s3:DeleteObjectVersion" in each["actions"]]
    assert len(denied) == 1
    assert 'role.arn if account != "erasure"]' in code(TERRAFORM / "bucket.tf")


def test_erasure_removes_versions_of_what_comes_from_media_alone() -> None:
    erased = prefixes("s3:DeleteObjectVersion")
    assert erased.keys() == {"erasure"}
    assert erased == {"erasure": prefixes("s3:DeleteObject")["erasure"]}
    assert not erased["erasure"] & {BACKUPS_PREFIX, "archive", RELEASES_PREFIX, "models", "mlflow"}
    (listed,) = [
        each for each in statements("bucket_access") if each["actions"] == ["s3:ListBucketVersions"]
    ]
    condition = listed["condition"]
    assert (condition["test"], condition["variable"]) == ("StringLike", "s3:prefix")
    assert set(condition["values"]) == {f"{each}/*" for each in erased["erasure"]}


def test_roles_are_of_one_service_account_each() -> None:
    trusted = statements("trust")
    assert {each["of"] for each in trusted} == roles().keys()
    for statement in trusted:
        conditions = {
            each["variable"].rpartition(":")[2]: (each["test"], each["values"])
            for each in blocks(statement["condition"])
        }
        assert conditions == {
            "sub": ("StringEquals", [f"system:serviceaccount:visionops:{statement['of']}"]),
            "aud": ("StringEquals", ["sts.amazonaws.com"]),
        }


def test_service_accounts_and_roles_are_the_same() -> None:
    files = (
        "base/identities.yaml",
        "components/aws/secret_store.yaml",
        "components/postgresql/cluster.yaml",
    )
    accounts = {
        each["metadata"]["name"]
        for file in files
        for each in manifests(file)
        # The operator makes the service account of a cluster, by its name.
        if each["kind"] in {"ServiceAccount", "Cluster"}
    }
    assert roles().keys() == accounts - NO_ROLE


@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_an_overlay_names_the_roles(overlay: str) -> None:
    annotated = {
        name: account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
        for name, account in of_kind(overlay, "ServiceAccount").items()
        if name not in NO_ROLE
    } | {
        name: cluster["spec"]["serviceAccountTemplate"]["metadata"]["annotations"][
            "eks.amazonaws.com/role-arn"
        ]
        for name, cluster in of_kind(overlay, "Cluster").items()
    }
    named = {account: arn.partition(":role/")[2] for account, arn in annotated.items()}
    ours = roles().keys() - ({"postgresql"} if overlay == "production" else set())
    assert named == {
        account: roles()[account].replace("-production-", f"-{overlay}-") for account in ours
    }


@cache
def used_prefixes() -> frozenset[str]:
    """First folders of the keys that code and manifests write below."""
    found = {BACKUPS_PREFIX, TABLES_PREFIX, PARTS_PREFIX, RELEASES_PREFIX, ASKED_PREFIX}
    found |= {TOMBSTONES.rstrip("/")}
    # Keys are formatted: `f"media/{...}"`.
    for path in Path(package_file).parent.rglob("*.py"):
        text = path.read_text()
        # To parse all of them takes a second.
        nodes = ast.walk(ast.parse(text)) if re.search(r'f"[a-z-]+/', text) else ()
        for node in nodes:
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                folder = re.match(r"([a-z-]+)/", str(node.values[0].value))
                found |= {folder[1]} if folder else set()
    artifacts = "--artifacts-destination=s3://$(VISIONOPS_S3_BUCKET)/"
    (mlflow,) = re.findall(
        re.escape(artifacts) + r"(\S+)", (KUBERNETES / "base/mlflow.yaml").read_text()
    )
    (dagster,) = manifests("base/dagster/dagster.yaml")
    (archive,) = (store["spec"] for store in of_kind("staging", "ObjectStore").values())
    return frozenset(
        found - NO_KEYS
        | {mlflow, dagster["compute_logs"]["config"]["prefix"]}
        | {archive["configuration"]["destinationPath"].rpartition("/")[2]}
    )


def test_prefixes_are_those_of_the_code() -> None:
    assert set().union(*prefixes("s3:PutObject").values()) == used_prefixes()
    assert set().union(*prefixes("s3:GetObject").values()) == used_prefixes()
    # The sweep aborts uploads of everybody.
    assert prefixes("s3:AbortMultipartUpload")["object-store"] == used_prefixes()


def test_who_reads_may_list() -> None:
    read = prefixes("s3:GetObject")
    for statement in statements("bucket_access"):
        if statement["actions"] == ["s3:ListBucket"]:
            condition = statement["condition"]
            assert (condition["test"], condition["variable"]) == ("StringLikeIfExists", "s3:prefix")
            folders = read[statement["of"]]
            assert set(condition["values"]) == folders | {f"{each}/*" for each in folders}


def test_what_may_be_deleted_and_by_whom() -> None:
    deleted, written = prefixes("s3:DeleteObject"), prefixes("s3:PutObject")
    assert deleted.pop("erasure") == written.pop("erasure")
    assert deleted.keys() == {"object-store", "dagster-step", "postgresql"}
    assert written.keys() == deleted.keys() | {"dagster"}
    assert written["dagster"] == {"dagster"}, "what runs print, and nothing of their steps"
    assert deleted["postgresql"] == written["postgresql"] == {"archive"}
    kept = {"predictions", "snapshots", "shards", "tables", "models", "mlflow"}
    assert set().union(*deleted.values()) & kept == set()
    # Those who train have no way to change what they train on, or the backups.
    kept_from_runs = {"media", "uploads", BACKUPS_PREFIX, "archive"}
    assert not kept_from_runs & (deleted["dagster-step"] | written["dagster-step"])
    assert prefixes("s3:GetObject")["triton"] == {ASKED_PREFIX, RELEASES_PREFIX}
