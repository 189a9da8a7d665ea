"""What training minimises, beside the network's own penalties."""

from evacli.backend import keras, tf


class SmoothedCrossEntropy(keras.losses.Loss):
    """Cross-entropy against the true class with weight 1 - s and all classes with weight s.

    Szegedy et al. 2015, arXiv 1512.00567, section 7.
    """

    def __init__(self, smoothing: float) -> None:
        super().__init__(name="loss")
        self.smoothing = smoothing

    def call(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Compute (B,) losses from (B,) labels and (B, C) logits."""
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(tf.reshape(labels, [-1]), tf.int32), logits)
        if not self.smoothing:
            return loss
        uniform = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=-1)
        return (1 - self.smoothing) * loss + self.smoothing * uniform
