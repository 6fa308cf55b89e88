"""The PostgreSQL schema, its migrations and its queries. Knows no Dagster asset and no HTTP."""
