"""Several runs side by side; no TensorFlow: what the runs have stored is all that it takes."""
