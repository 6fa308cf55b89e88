"""The Postgres schema, its migrations and its queries. Knows no Dagster asset and no HTTP."""
