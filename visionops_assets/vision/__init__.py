"""Pure code: decoding, preprocessing, models, training, metrics. No Dagster, no network access."""
