"""Component: compare the full ranker with the ID-only one, and report."""
