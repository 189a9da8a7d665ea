"""What makes it harder for a network to learn its training images by heart: dropout and noise."""

from dataclasses import dataclass
from typing import Any, Literal

from evacli.backend import keras
from evacli.catalogue.networks import NETWORKS
from evacli.config import Config
from evacli.errors import ModelError
from evacli.models.nested import all_layers

Dropout = float | Literal["own", "none"]
DROPOUTS = (keras.layers.Dropout, keras.layers.SpatialDropout2D)


def decide_dropout(config: Config) -> Dropout:
    """Return what the configuration says of dropout, or else what suits its network."""
    if config.dropout is not None:
        return config.dropout
    # Of the network's own rates the spatial kind has to be some share.
    network = NETWORKS.get(config.model)
    return "none" if network and not network.own_dropout and not config.spatial_dropout else "own"


@dataclass(frozen=True)
class Regularisation:
    """Changes to a network's dropout, and noise on its inputs.

    Attributes:
        dropout: the rate of all the network's dropout layers; "none": 0; "own": as the network has them.
        spatial: whether they drop whole feature maps of an image instead of single values (Tompson et al. 2014, arXiv
            1411.4280): neighbouring pixels of a map say nearly the same, so that a dropped one is hardly missed.
        input_noise: standard deviation of Gaussian noise on the normalised pixels.
    """

    dropout: Dropout = "own"
    spatial: bool = False
    input_noise: float = 0.0

    @classmethod
    def of(cls, config: Config) -> "Regularisation":
        """Make what the configuration says."""
        return cls(decide_dropout(config), config.spatial_dropout, config.input_noise)

    def on_pixels(self, x: Any) -> Any:
        """Return the normalised images `x`, a keras tensor (B, H, W, C), with noise in training."""
        return keras.layers.GaussianNoise(self.input_noise, name="input_noise")(x) if self.input_noise else x

    def on_dropout(self, model: keras.Model) -> keras.Model:
        """Return the network with its dropout layers changed, and with its weights.

        Raises:
            ModelError: if dropout layers are to be changed and there are none.
        """
        if self.dropout == "own" and not self.spatial:
            return model
        if not any(isinstance(layer, DROPOUTS) for layer in all_layers(model)):
            option = "--spatial-dropout" if self.dropout == "own" else f"--dropout {self.dropout}"
            raise ModelError(f"{option}: the network {model.name} has no dropout layers.", "Leave the option out.")
        changed = keras.models.clone_model(model, clone_function=self._clone, recursive=True)
        changed.set_weights(model.get_weights())
        return changed

    def _clone(self, layer: Any) -> Any:
        kind, config = type(layer), layer.get_config()
        if isinstance(layer, DROPOUTS):
            config["rate"] = {"own": layer.rate, "none": 0.0}.get(self.dropout, self.dropout)  # type: ignore[arg-type]
            if self.spatial and len(layer.output.shape) == 4 and kind is keras.layers.Dropout:
                kind = keras.layers.SpatialDropout2D
                config = {key: config[key] for key in ("name", "rate", "seed", "dtype")}
        return kind.from_config(config)
