"""One training on several devices, each of which has a copy of the network and a part of every batch."""
