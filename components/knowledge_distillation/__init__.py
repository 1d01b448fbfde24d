"""Component: LLM agents distil each item's knowledge (RER)."""
