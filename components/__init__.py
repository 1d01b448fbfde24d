"""The KFP components: each folder holds one `component.py`, a body of a few lines over the library.

Bodies import what they need themselves, because KFP ships a component's source alone; the library comes with the image.
The configuration is resolved once, by `ingest`, and travels as JSON from there.
"""

IMAGE = "reaseq/python-components:0.1.0"
"""Built from infra/images/Dockerfile. Locally, the same bodies run as processes of the current environment."""
