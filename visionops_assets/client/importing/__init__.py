"""The bulk importer: what there is, what is done already, several files in flight."""
