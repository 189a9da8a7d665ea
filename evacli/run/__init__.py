"""The run directory and every document in it."""
