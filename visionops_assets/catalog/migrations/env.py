"""Run by Alembic: the connection, its transaction and its lock come from `catalog.migrate`."""

from alembic import context

from visionops_assets.catalog.schema import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
