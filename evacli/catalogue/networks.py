"""The named networks: an entry here, and the function that it names, are all that a network needs."""

import msgspec


class NetworkSpec(msgspec.Struct, frozen=True):
    """Describe a network.

    Attributes:
        about: what it is, in a few words.
        builder: `module:function` that turns normalised images, a keras tensor (B, H, W, C), and the number of classes
            into class probabilities (B, classes).
        start: `module:function` that sets, in a built network, the first weights that depend on training images
            (N, H, W, C), where there are such.
        own_dropout: whether it keeps the dropout of its description unless another is asked for.
    """

    about: str
    builder: str
    start: str = ""
    own_dropout: bool = True


_AIRBENCH_START = "evacli.models.airbench:start"

NETWORKS = {
    "eva": NetworkSpec("0.5 M parameters: the network of the assignment", "evacli.models.eva:eva", own_dropout=False),
    "resnet9": NetworkSpec("6.6 M: the residual network that led DAWNBench", "evacli.models.resnet:resnet9"),
    "resnet20": NetworkSpec(
        "0.3 M: the residual network of He et al., for images of any size", "evacli.models.resnet:resnet20"
    ),
    "airbench": NetworkSpec("2.0 M: wide and flat, learns fast", "evacli.models.airbench:airbench", _AIRBENCH_START),
    "airbench_small": NetworkSpec(
        "0.5 M: the same with half the filters", "evacli.models.airbench:airbench_small", _AIRBENCH_START
    ),
}
