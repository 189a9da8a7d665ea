"""The names of the learning-rate schedules; `training/schedules.py` has what they do."""

NAMES = ("constant", "step", "linear", "exponential", "cosine", "plateau", "cyclical", "one-cycle")
