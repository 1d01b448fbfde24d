"""Component: train and export the CTR ranker."""
