"""Component: infer beyond-log behaviours at each snapshot (GBR)."""
