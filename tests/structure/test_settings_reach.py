"""A setting or a declared field arrives where its name says, wherever an argument is given one."""

import ast
from collections.abc import Iterator

from tests.structure.test_rooms import MODULES

# Arguments of others' functions, and of ours that say no more than a unit, with their settings.
NAMED_OTHERWISE = {
    ("enable_idempotence", "kafka_idempotent_producer"),
    ("region_name", "s3_region"),
    ("seconds", "announce_again_after_s"),
    ("seconds", "idempotency_expiry_s"),
    ("seconds", "upload_lease_s"),
    # Most groups are single frames.
    ("frames_per_class", "snapshots_groups_per_class"),
    # `from` is a word of Python.
    ("sender", "pager_email_from"),
}


def given_settings() -> Iterator[tuple[str, str]]:
    """Yield each argument that is given a setting, or declared field, with the name of that."""
    for tree in MODULES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg and isinstance(node.value, ast.Attribute):
                owner = ast.unparse(node.value.value)
                if owner.rpartition(".")[2].strip("_") in {"settings", "load_settings()"}:
                    yield node.arg, node.value.attr
                elif owner.startswith("model."):
                    section = owner.removeprefix("model.").replace(".", "_")
                    yield node.arg, f"{section}_{node.value.attr}"


def test_each_argument_takes_the_one_of_its_name() -> None:
    """`max_s=model.retraining.max_s`: exchanged limits are exchanged rules."""
    given = set(given_settings())
    assert len(given) > 30
    otherwise = {
        (argument, setting)
        for argument, setting in given
        if not set(argument.lower().split("_")) <= set(setting.split("_"))
    }
    assert otherwise <= NAMED_OTHERWISE, "exchanged? If not: give it the setting's name"
