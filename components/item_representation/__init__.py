"""Component: item vectors and codes from titles and knowledge (RER)."""
