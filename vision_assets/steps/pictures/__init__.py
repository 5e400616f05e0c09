"""Pictures of stored tables."""
