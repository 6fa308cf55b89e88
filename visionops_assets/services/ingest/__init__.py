"""The ingest service: media files in, by HTTP; nothing it acknowledged is lost."""
