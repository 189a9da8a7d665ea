"""The engine room: the only one that knows what computes."""
