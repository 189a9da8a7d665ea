"""What can be chosen by name, as data: no TensorFlow."""
