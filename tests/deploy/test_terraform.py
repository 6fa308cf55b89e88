"""The module of deploy/terraform: its files, its bucket, and what an overlay takes from it.

Nothing of it is planned or applied: that needs Terraform, its provider and an account. Elsewhere:
its roles (`test_terraform_roles.py`), its database and queue (`test_terraform_servers.py`).
"""

import re
from pathlib import Path

import pytest

from tests.deploy.manifests import KUBERNETES
from tests.deploy.terraform import (
    BUCKET_ARN,
    EVERYTHING,
    LEAST,
    TERRAFORM,
    address,
    blocks,
    code,
    declared,
    evaluated,
    everything,
    manifests,
    only,
    referred,
    roles,
    statements,
    untidy,
)

FILES = sorted(TERRAFORM.glob("*.tf"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_formatted(path: Path) -> None:
    assert untidy(path.read_text()) == []


def test_what_is_not_formatted_is_found() -> None:
    assert untidy("a {\n b = 1\n}\n") == [" b = 1"]
    assert untidy("a {\n  b = 1\n  cc = 2\n}\n") == ["  b = 1"]
    assert untidy('a {\n  b  = "}"\n  cc = [\n    1,\n  ]\n}\n') == ['  b  = "}"']
    assert untidy('a {\n  b  = "}"\n  cc = 2\n\n  d = f({\n    e = 1\n  })\n}\n') == []


def test_references_resolve_and_what_is_declared_is_used() -> None:
    text = "".join(code(path) for path in FILES)
    names = declared(text)
    assert referred(text) - names == set()
    elsewhere = referred("".join(code(path) for path in FILES if path.name != "variables.tf"))
    assert {name for name in names if name.startswith(("var.", "local."))} - elsewhere == set()


@pytest.mark.parametrize("kind", ["variable", "output"])
def test_variables_and_outputs_are_described(kind: str) -> None:
    assert [address(each) for each in everything()[kind] if not each.get("description")] == []
    assert all("type" in each for each in everything()["variable"])


def test_the_bucket_is_private_encrypted_versioned() -> None:
    versioning = only("aws_s3_bucket_versioning")["versioning_configuration"]
    assert versioning["status"] == "Enabled"
    block = only("aws_s3_bucket_public_access_block")
    assert all(
        block[name] is True
        for name in (
            "block_public_acls",
            "block_public_policy",
            "ignore_public_acls",
            "restrict_public_buckets",
        )
    )
    ownership = only("aws_s3_bucket_ownership_controls")["rule"]
    assert ownership["object_ownership"] == "BucketOwnerEnforced"
    assert only("aws_s3_bucket")["lifecycle"]["prevent_destroy"] is True


@pytest.mark.parametrize(
    ("variables", "algorithm"), [(EVERYTHING, "aws:kms"), (LEAST, "AES256")], ids=["kms", "aes"]
)
def test_the_bucket_is_encrypted(tmp_path: Path, variables: str, algorithm: str) -> None:
    module = evaluated(tmp_path, variables)
    rule = module["aws_s3_bucket_server_side_encryption_configuration"][0]["rule"]
    assert rule["apply_server_side_encryption_by_default"]["sse_algorithm"] == algorithm


def test_the_bucket_refuses_plain_http() -> None:
    (statement,) = [
        each
        for each in statements("bucket")
        if each.get("condition", {}).get("variable") == "aws:SecureTransport"
    ]
    assert (statement["effect"], statement["actions"]) == ("Deny", ["s3:*"])
    assert statement["condition"]["values"] == ["false"]
    assert statement["principals"]["identifiers"] == ["*"]
    assert statement["resources"] == [BUCKET_ARN, f"{BUCKET_ARN}/*"]
    assert all(each["effect"] == "Deny" for each in statements("bucket"))


def test_no_rule_expires_a_current_object() -> None:
    rules = blocks(only("aws_s3_bucket_lifecycle_configuration")["rule"])
    said = [{k: v for k, v in each.items() if k not in {"id", "__tfmeta"}} for each in rules]
    assert {key for rule in said for key in rule} == {
        "abort_incomplete_multipart_upload",
        "expiration",
        "filter",
        "noncurrent_version_expiration",
        "status",
        "transition",
    }
    expirations = [expiration for rule in said for expiration in blocks(rule.get("expiration"))]
    assert [set(each) - {"id", "__tfmeta"} for each in expirations] == [
        {"expired_object_delete_marker"}
    ]
    assert [rule["filter"]["prefix"] for rule in said if "transition" in rule] == ["media/"]


def output(name: str) -> object:
    (found,) = [
        each["value"] for each in everything()["output"] if address(each) == f"output.{name}"
    ]
    return found


def test_settings_are_those_of_the_overlay() -> None:
    lines = (KUBERNETES / "overlays/production/settings.env").read_text().splitlines()
    keys = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    text = code(TERRAFORM / "outputs.tf")
    named = re.findall(r'^ +([A-Z0-9_]+) += |"([A-Z0-9_]+)" =>', text, flags=re.MULTILINE)
    # How models are served and built is no matter of where, and the proxies are the edge's own. MSK
    # has no users, and no authority of its own.
    elsewhere = (
        *("VISIONOPS_SERVING_", "VISIONOPS_ENGINE_", "VISIONOPS_K8S_"),
        *("VISIONOPS_TRUSTED_PROXIES", "VISIONOPS_KAFKA_USER", "VISIONOPS_KAFKA_CA_FILE"),
    )
    assert {a or b for a, b in named} == {key for key in keys if not key.startswith(elsewhere)}


def test_secrets_are_those_that_are_fetched() -> None:
    fetched: dict[str, list[str]] = {}
    for manifest in manifests("base/secrets.yaml"):
        for each in manifest["spec"]["data"]:
            remote = each["remoteRef"]
            fetched.setdefault(remote["key"], []).append(remote["property"])
    assert output("secrets") == fetched


def test_a_role_is_told_for_each_service_account() -> None:
    told = output("role_arns")
    assert isinstance(told, dict)
    assert told.keys() == roles().keys()
