"""Backups of the databases: taken by `pg_dump`, kept in the object store, restored as a whole.

Objects are not part of a backup: they are written once, and the bucket's versioning keeps them.
"""
