"""Writes the reference pages of the site from the code itself, so that they cannot fall behind it.

Each module builds one page as Markdown; `docs/hook.py` hands them to MkDocs.
"""
