"""Old names of commands: they still work, and name the new one on standard error."""

from collections.abc import Sequence

# The commands of a group come before the group itself: the first name that fits counts.
OLD_NAMES = {
    "keys create": "keys add",
    "camera list": "cameras ls",
    "camera remove": "cameras rm",
    "camera": "cameras",
    "quarantine release": "quarantine retry",
    "dead-letter": "dead-letters",
    "release": "releases",
    "labelling": "labelling-batches",
    "backup create": "backups add",
    "backup": "backups",
}
_BARE = ("decisions", "decisions ls")
"""It was a command and is a group now; its options follow it at once."""


def old_and_new_name(words: Sequence[str]) -> tuple[str, str] | None:
    """Return the old name that a command begins with, and its new name; None without one."""
    old, new = _BARE
    rest = words[1:2]
    if list(words[:1]) == [old] and (not rest or (rest[0][:1] == "-" and rest[0] != "--help")):
        return _BARE
    for old, new in OLD_NAMES.items():
        if list(words[: len(old.split())]) == old.split():
            return old, new
    return None
