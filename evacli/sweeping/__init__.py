"""Many trainings that differ in some settings: which settings should I use? Each is an `evacli train` of its own."""
