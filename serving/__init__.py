"""Serving: a Triton repository built from a bundle, the server that runs it, and the KServe transformer in front of it.

Nothing is exported here: the transformer's process imports kserve, and `tritonclient.grpc`, which some clients need,
can't be imported beside it, so each part is imported by its own name.
"""
