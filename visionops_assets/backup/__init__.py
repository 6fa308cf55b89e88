"""Backups of the databases: taken by `pg_dump`, kept in the object store, restored as a whole.

Not here: objects. They are written once and never changed, so the bucket's versioning keeps them.
"""
