"""The only place of the library that knows MLflow, Feast and Ray.

    tracking   a whole pipeline run → one MLflow run with its parameters, metrics, lineage and training curves
    registry   ranker bundles as model versions with the aliases champion, challenger and previous
    features   the feature store's online side: one look-up of a user row
    ray_shards the shards of a refresh, spread over Ray's actors

Nothing is imported here, because MLflow takes two seconds to import, Feast four, and no caller needs both.
"""
