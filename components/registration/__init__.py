"""Component: MLflow, Feast and the Triton repository."""
