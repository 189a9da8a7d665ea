"""Keras layers with the same mathematics, on kernels that are faster on a CPU.

They train; what is saved holds the plain layers that they stand for. Each takes the configuration and has the weights
of its plain layer.
"""

import functools
import math
import sys
from typing import Any

from evacli.backend import keras, tf
from evacli.engine.fast import winograd


class FastConv2D(keras.layers.Conv2D):
    """Convolution in fewer multiplications where that pays, whose bias gradient is a sum of its own.

    TensorFlow merges the gradients of a plain layer's kernel and bias into one oneDNN primitive, which in float32 can
    take twice as long as the kernel's gradient alone.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Convolves `inputs` (B, H, W, C) with `kernel`."""
        ordinary = self.kernel_size == (3, 3) and self.strides == self.dilation_rate == (1, 1) and self.groups == 1
        same = self.padding == "same" and self.data_format == "channels_last"
        known = inputs.dtype == kernel.dtype and inputs.dtype in (tf.float32, tf.bfloat16)
        if ordinary and same and known and winograd.pays(inputs, kernel):
            return winograd.convolve(inputs, kernel)
        return super().convolution_op(inputs, kernel)

    def call(self, inputs: Any) -> Any:
        """Convolves `inputs` (B, H, W, C), adds the bias and applies the activation."""
        if not self.use_bias or self.data_format != "channels_last":
            return super().call(inputs)
        # Not BiasAdd, whose gradient is what gets merged.
        return self.activation(tf.raw_ops.AddV2(x=self.convolution_op(inputs, self.kernel), y=self.bias))


class FastActivation(keras.layers.Activation):
    """Activation whose GELU is one pass over memory, where TensorFlow's takes a dozen."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Apply the activation to each element of `inputs`."""
        if self.activation is keras.activations.gelu and inputs.dtype in (tf.float32, tf.bfloat16):
            return gelu(inputs) if training else _gelu(inputs)
        return super().call(inputs)


def gelu(x: Any) -> Any:
    """GELU(x) = x Phi(x), where Phi is the normal distribution; computed in float32, given in the type of `x`.

    Hendrycks & Gimpel 2016, arXiv 1606.08415. The slope is computed along with it, so that going back is one product.
    """

    def both_ways(x: Any) -> tuple[Any, Any]:
        outputs, slope = _gelu_and_slope(x)
        return outputs, lambda upstream: upstream * slope

    return tf.custom_gradient(both_ways)(x)


def _outputs_and_slope(x: Any) -> tuple[Any, Any]:
    exact = tf.cast(x, tf.float32)
    below = 0.5 * (1 + tf.math.erf(exact * math.sqrt(0.5)))
    density = tf.exp(-0.5 * exact * exact) / math.sqrt(2 * math.pi)
    return tf.cast(exact * below, x.dtype), tf.cast(below + exact * density, x.dtype)


def _outputs(x: Any) -> Any:
    return _outputs_and_slope(x)[0]


# Not every system's TensorFlow has XLA, which makes one loop of this; measured and tested on Linux only.
_compiled = functools.partial(tf.function, jit_compile=sys.platform == "linux", reduce_retracing=True)
_gelu, _gelu_and_slope = _compiled(_outputs), _compiled(_outputs_and_slope)


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation in one kernel, where Keras on TensorFlow spells it out in a dozen.

    Equals the plain layer in outputs, gradients and moving statistics up to float32 rounding; inputs of
    16 bits are normalised in float32, like there. What the kernel cannot do (inputs that are not images with channels
    last, masks, renormalisation, synchronised statistics) goes the plain way.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalises `inputs` (B, H, W, C), by the batch's statistics in training, else by the moving ones."""
        if mask is not None or not self._fits(inputs):
            return super().call(inputs, training=training, mask=mask)
        by_batch = bool(training and self.trainable)
        unused = tf.constant([], tf.float32)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.ones_like(self.moving_mean) if self.gamma is None else self.gamma,
            offset=tf.zeros_like(self.moving_mean) if self.beta is None else self.beta,
            mean=unused if by_batch else self.moving_mean,
            variance=unused if by_batch else self.moving_variance,
            epsilon=self.epsilon,
            is_training=by_batch,
        )
        if by_batch:
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance * _bias(inputs))
        return outputs

    def _fits(self, inputs: Any) -> bool:
        return (
            len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and inputs.dtype in (tf.float32, tf.bfloat16, tf.float16)
            and inputs.dtype == self.compute_dtype
            and not (self.renorm or self.synchronized)
        )

    def _move(self, average: Any, value: Any) -> None:
        average.assign(average * self.momentum + value * (1.0 - self.momentum))


def _bias(inputs: Any) -> Any:
    # The kernel returns the variance with Bessel's correction; Keras averages the one without.
    count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), tf.float32)
    return (count - 1) / count


class FastDropout(keras.layers.Dropout):
    """Dropout that draws one random byte an element instead of one float.

    The rate is rounded to a multiple of 1/256, and the elements that stay are divided by the probability with which
    they really do, so that the expectation is right. Like in the plain layer, the mask is a pure function of the seed
    generator's state.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Zeroes elements of `inputs` at random and scales up the others, in training."""
        dropped = round(self.rate * 256)
        if not training or not 0 < dropped < 256 or self.noise_shape is not None:
            return super().call(inputs, training=training)
        kept = _random_bytes(tf.shape(inputs), self.seed_generator.next()) >= dropped
        return inputs * (tf.cast(kept, inputs.dtype) * tf.cast(256 / (256 - dropped), inputs.dtype))


def _random_bytes(shape: Any, seed: Any) -> Any:
    size = tf.reduce_prod(shape)
    words = tf.random.stateless_uniform(
        [(size + 7) // 8], tf.cast(seed, tf.int64), minval=None, maxval=None, dtype=tf.uint64, alg="philox"
    )
    return tf.reshape(tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:size], shape)
