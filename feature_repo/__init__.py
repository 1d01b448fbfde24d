"""The feature repository: what Feast knows of users and items, and how it gets there.

    sources       artifacts → Parquet files, as of a serving time
    definitions   entities, views and one feature service per ranker version, over those files
    environments/ a feature_store.yaml each: `local` (duckdb, sqlite), `cluster` (duckdb, Redis, SQL registry)
    apply         write the sources, apply the definitions, materialise, and check that no row was lost
    refresh       between two runs, bring refreshed inferences in; an older one never replaces a newer one

A request reads the result through `reaseq.platform.features`.
"""
