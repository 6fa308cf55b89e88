"""Queue to catalog: batches of media events become raw_media."""
