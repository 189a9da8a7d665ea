"""What made the training images of a run harder for the network than its test images."""

from evacli.backend import keras
from evacli.config import Config
from evacli.models.nested import all_layers

_DROPOUTS = (keras.layers.Dropout, keras.layers.GaussianDropout, keras.layers.AlphaDropout)


def obstacles(config: Config, network: keras.Model) -> tuple[str, ...]:
    """Name what a network meets while it learns and not when it is evaluated.

    Args:
        config: with every value decided, as training stores it.
        network: of the run; whether it drops or adds anything is seen in its layers.

    Returns:
        Some of "augmentation", "dropout" and "noise", in this order.

    Example:
        >>> obstacles(Config(cutout=0, crop=4, flip=False), keras.Sequential([keras.layers.Dropout(0.2)]))
        ('augmentation', 'dropout')
    """
    layers = list(all_layers(network))
    met = {
        "augmentation": config.cutout or config.crop or config.flip,
        "dropout": any(isinstance(layer, _DROPOUTS) and layer.rate for layer in layers),
        "noise": any(isinstance(layer, keras.layers.GaussianNoise) and layer.stddev for layer in layers),
    }
    return tuple(name for name, is_met in met.items() if is_met)
