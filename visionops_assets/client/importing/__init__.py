"""The bulk importer: lists files, leaves out those done before, and sends several at a time."""
