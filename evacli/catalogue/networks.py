"""The named networks: an entry here, and the function that it names, are all that a network needs."""

import msgspec


class NetworkSpec(msgspec.Struct, frozen=True):
    """Describe a network.

    Attributes:
        about: what it is, in a few words, and how many parameters it has for 10 classes.
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
    "eva": NetworkSpec("the network of the assignment, 0.5 M", "evacli.models.eva:eva", own_dropout=False),
    "resnet9": NetworkSpec("led DAWNBench, 6.6 M", "evacli.models.resnet:resnet9"),
    "resnet20": NetworkSpec("He et al. for CIFAR, 0.3 M", "evacli.models.resnet:resnet20"),
    "airbench": NetworkSpec("wide and flat, 2.0 M", "evacli.models.airbench:airbench", _AIRBENCH_START),
    "airbench_small": NetworkSpec(
        "half as wide as airbench, 0.5 M", "evacli.models.airbench:airbench_small", _AIRBENCH_START
    ),
}
