from alembic.script import ScriptDirectory

from visionops_assets.catalog.migrate import alembic_config


def test_migrations_are_one_chain_from_the_first_to_the_newest() -> None:
    scripts = ScriptDirectory.from_config(alembic_config())
    revisions = list(scripts.walk_revisions())
    assert len(scripts.get_heads()) == 1
    assert [r.revision for r in revisions] == sorted((r.revision for r in revisions), reverse=True)
