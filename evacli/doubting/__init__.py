"""Whether a mistake is the network's: labels that may be wrong."""
