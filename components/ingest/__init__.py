"""Component: raw files to a validated, split dataset."""
