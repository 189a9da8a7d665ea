"""Keras needs TensorFlow; see there."""

import tensorflow  # noqa: F401
