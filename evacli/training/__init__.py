"""The training recipe: what learns, how it goes on, how it stops."""
