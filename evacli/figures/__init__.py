"""Every plot: arrays in, figures out."""
