"""Optimizers from Keras' own, and what Keras' own need help with."""

from collections.abc import Sequence
from typing import Any

from evacli.backend import keras, tf
from evacli.catalogue.optimizers import OPTIMIZERS, OptimizerSpec
from evacli.config import Config
from evacli.engine.hyperparameters import cycled, hyperparameters


def make(
    config: Config,
    variables: list[Any],
    accumulated: int = 1,
    factors: Sequence[float] = (),
    *,
    mirrored: bool = False,
) -> keras.optimizers.Optimizer:
    """Return the configured optimizer, built for `variables`.

    Args:
        config: names the method and its hyperparameters.
        variables: what will be trained; those of less than two dimensions, biases and the scales and offsets of
            BatchNorm, are spared by weight decay.
        accumulated: how many batches make one update: their mean gradient.
        factors: of the learning rate, one for each variable; by default, all learn by the same.
        mirrored: whether each device has a copy of the variables, all of which take the same step.
    """
    spec = OPTIMIZERS[config.optimizer]
    rate = 1.0 if config.lr == "auto" else config.lr
    different = any(factor != 1 for factor in factors)
    optimizer = _class(spec, config, different, mirrored)(
        rate,
        weight_decay=(spec.weight_decay if config.weight_decay is None else config.weight_decay) or None,
        gradient_accumulation_steps=accumulated if accumulated > 1 else None,
        **hyperparameters(config),
        **spec.fixed,
    )
    if config.gradient_noise:
        optimizer.noise, optimizer.noise_seed = config.gradient_noise, config.seed
    if different:
        optimizer.factors = tuple(factors)
    optimizer.exclude_from_weight_decay([v for v in variables if len(v.shape) < 2])
    optimizer.build(variables)
    name = cycled(config)
    if name:
        # Only a variable can move without the step being traced anew.
        setattr(optimizer, name, keras.Variable(getattr(optimizer, name), trainable=False, name=name))
    return optimizer


def _class(spec: OptimizerSpec, config: Config, different: bool = False, mirrored: bool = False) -> Any:
    found = globals().get(spec.keras_class) or getattr(keras.optimizers, spec.keras_class)
    found = type(f"Mirrored{found.__name__}", (Mirrored, found), {}) if mirrored else found
    found = type(f"Discriminative{found.__name__}", (DiscriminativeRates, found), {}) if different else found
    found = type(f"Noisy{found.__name__}", (GradientNoise, found), {}) if config.gradient_noise else found
    return type(f"Scaled{found.__name__}", (LossScaling, found), {}) if config.precision == "float16" else found


class MomentumSGD(keras.optimizers.SGD):
    """SGD whose `momentum` may be a variable, which Keras' own asks whether it is zero."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Velocity v <- momentum v - rate gradient; moves by v, or with Nesterov's look-ahead."""
        if not self.momentums:
            super().update_step(gradient, variable, learning_rate)
            return
        velocity = self.momentums[self._get_variable_index(variable)]
        momentum = tf.cast(tf.convert_to_tensor(self.momentum), variable.dtype)
        step = tf.cast(learning_rate, variable.dtype) * tf.cast(gradient, variable.dtype)
        self.assign(velocity, velocity * momentum - step)
        self.assign_add(variable, velocity * momentum - step if self.nesterov else velocity)


class ConvolutionalMuon(keras.optimizers.Muon):
    """Muon that also orthogonalises the updates of convolution kernels, each as a matrix of (inputs, outputs).

    Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon/) flatten kernels so; Keras' own leaves everything but
    dense layers to AdamW, which in a convolutional network is nearly all. Biases, scales and offsets stay with AdamW,
    and, as they advise, so does the last of several kernels, which gives the scores.
    """

    def __init__(self, *args: Any, weight_decay: float | None = None, **extra: Any) -> None:
        super().__init__(*args, weight_decay=weight_decay, adam_weight_decay=weight_decay, **extra)
        self._scores: Any = None  # its key: a variable kept here would count as one of the optimizer's own

    def build(self, variables: list[Any]) -> None:
        """Give each of `variables`, in the order in which the network computes, its state."""
        kernels = [v for v in variables if len(v.shape) >= 2]
        self._scores = self._var_key(kernels[-1]) if len(kernels) > 1 else None
        super().build(variables)

    def _should_use_adamw(self, variable: Any) -> bool:
        return len(variable.shape) < 2 or self._var_key(variable) == self._scores

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """Return the nearest semi-orthogonal matrix, roughly, in the shape of `x`.

        Each of the `steps` multiplies x by a polynomial of its Gram matrix. Those of all steps are multiplied first,
        which takes small square matrices only: the same to rounding, in a third of the multiplications.
        """
        matrix = _as_matrix(x)
        matrix /= tf.norm(matrix) + 1e-7  # no singular value is above 1
        tall = matrix.shape[0] > matrix.shape[1]
        gram = tf.matmul(matrix, matrix, transpose_a=tall, transpose_b=not tall)
        product = one = tf.eye(gram.shape[0], dtype=gram.dtype)
        for _ in range(steps):
            factor = self.muon_a * one + self.muon_b * gram + self.muon_c * gram @ gram
            product = factor @ product
            gram = factor @ gram @ factor
        return tf.reshape(matrix @ product if tall else product @ matrix, x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """Scales an update to the size that Adam's would have (Liu et al. 2025, arXiv 2502.16982)."""
        return tf.reshape(super().lr_adjust(_as_matrix(x)), x.shape)


def _as_matrix(x: Any) -> Any:
    return tf.reshape(x, [-1, x.shape[-1]])


class Mirrored:
    """Takes a step of the copies of the variables on all devices, from gradients that are those of the whole batch.

    Keras' own wants to be called on each of the devices, where it sums up gradients by itself and cannot accumulate
    them. To be mixed into an optimizer, which is then called once for all devices.
    """

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        pairs = zip(grads, [variable.value for variable in trainable_variables], strict=True)
        self._distributed_tf_update_step(tf.distribute.get_strategy(), pairs, learning_rate)  # type: ignore[attr-defined]

    def _backend_increment_gradient_accumulators(self, grads: Sequence[Any], acc_grads: Sequence[Any]) -> None:
        for gradient, accumulated in zip(grads, acc_grads, strict=True):
            accumulated.assign(accumulated + gradient)

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        if isinstance(self, keras.optimizers.Muon):  # whose decay is one for all devices already
            super()._apply_weight_decay(variables)  # type: ignore[misc]
            return
        for variable in variables if self.weight_decay else ():  # type: ignore[attr-defined]
            if self._use_weight_decay(variable):  # type: ignore[attr-defined]
                variable.assign(variable - variable * self.weight_decay * self.learning_rate)  # type: ignore[attr-defined]


class GradientNoise:
    """Adds Gaussian noise of variance eta / (1 + t)^0.55 to the gradients of step t, counted from 0.

    Neelakantan et al. 2015 (arXiv 1511.06807). To be mixed into an optimizer. The noise is a pure function of seed,
    variable and step, so a resumed training draws what an uninterrupted one does.
    """

    noise: float
    noise_seed: int

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Take the step of the optimizer, from the noisy gradient."""
        step = tf.cast(self.iterations, tf.int32)  # type: ignore[attr-defined]
        seed = tf.stack([(self.noise_seed + self._get_variable_index(variable) * 2**16) % 2**31, step])  # type: ignore[attr-defined]
        deviation = tf.sqrt(self.noise / (1.0 + tf.cast(step, tf.float32)) ** 0.55)
        noisy = gradient + tf.cast(deviation * tf.random.stateless_normal(gradient.shape, seed), gradient.dtype)
        super().update_step(noisy, variable, learning_rate)  # type: ignore[misc]


class LossScaling:
    """Keeps small gradients from vanishing in float16: multiplies the loss, and divides the gradients by as much.

    Micikevicius et al. 2018 (arXiv 1710.03740), section 3.2. A step whose gradients overflow is left out, and halves
    the scale; `GROWTH` steps without one double it. To be mixed into an optimizer, among whose variables the scale then
    is. Keras' own, an optimizer around another, tells neither the rate of that nor how many steps it has left out.
    """

    FIRST, GROWTH = 2.0**15, 2000

    def build(self, variables: list[Any]) -> None:
        """Give each of `variables` its state, and the scale its own."""
        super().build(variables)  # type: ignore[misc]
        made = {"loss_scale": self.FIRST, "steps_at_scale": 0.0, "skipped": 0.0}
        self.loss_scale, self.steps_at_scale, self.skipped = (
            self.add_variable((), keras.initializers.Constant(value), "float32", name=name)  # type: ignore[attr-defined]
            for name, value in made.items()
        )

    def scale_loss(self, loss: Any) -> Any:
        """Return what is differentiated."""
        return super().scale_loss(loss) * self.loss_scale  # type: ignore[misc]

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Take the step of the optimizer, if the gradients are finite."""
        scale = tf.convert_to_tensor(self.loss_scale)
        grads = [None if gradient is None else gradient / tf.cast(scale, gradient.dtype) for gradient in grads]
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in grads if g is not None])
        if self.gradient_accumulation_steps:  # type: ignore[attr-defined]
            # The batch is a part of an update, which keeps its number of parts.
            grads = [None if g is None else tf.where(finite, g, tf.zeros_like(g)) for g in grads]
            super().apply(grads, trainable_variables)  # type: ignore[misc]
        else:
            tf.cond(finite, lambda: self._take(grads, trainable_variables), lambda: finite)
        grown = self.steps_at_scale + 1 >= self.GROWTH
        doubled = tf.where(grown, 2 * scale, scale)
        self.loss_scale.assign(tf.where(finite, doubled, tf.maximum(scale / 2, 1)))
        self.steps_at_scale.assign(tf.where(tf.logical_and(finite, ~grown), self.steps_at_scale + 1, 0.0))
        self.skipped.assign_add(tf.where(finite, 0.0, 1.0))

    def _take(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None) -> Any:
        super().apply(grads, trainable_variables)  # type: ignore[misc]
        return tf.constant(True)


class DiscriminativeRates:
    """Lets each variable learn at its own factor of the learning rate, in its steps and in its decay.

    Howard & Ruder 2018 (arXiv 1801.06146), section 3.2. To be mixed into an optimizer.
    """

    factors: tuple[float, ...]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Take the step of the optimizer, at the variable's own rate."""
        factor = self.factors[self._get_variable_index(variable)]  # type: ignore[attr-defined]
        super().update_step(gradient, variable, learning_rate * factor)  # type: ignore[misc]

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        # Keras' own takes the one rate for all of them.
        for variable in variables if self.weight_decay else ():  # type: ignore[attr-defined]
            if self._use_weight_decay(variable):  # type: ignore[attr-defined]
                factor = self.factors[self._get_variable_index(variable)]  # type: ignore[attr-defined]
                variable.assign(variable * (1 - self.weight_decay * factor * self.learning_rate))  # type: ignore[attr-defined]
