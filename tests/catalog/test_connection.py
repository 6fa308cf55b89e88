import shlex

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from visionops_assets.catalog.connection import LIVENESS


def test_both_sides_give_the_other_up_alike() -> None:
    """What libpq does not know, it refuses; PostgreSQL has names of its own for the same."""
    ours = conninfo_to_dict(make_conninfo("", **LIVENESS))
    told = dict(word.split("=") for word in shlex.split(str(ours["options"])) if word != "-c")
    assert told == {
        "tcp_keepalives_idle": ours["keepalives_idle"],
        "tcp_keepalives_interval": ours["keepalives_interval"],
        "tcp_keepalives_count": ours["keepalives_count"],
        "tcp_user_timeout": ours["tcp_user_timeout"],
    }
