"""The named networks: an entry here, and the function that it names, are all that a network needs."""

import msgspec

Colours = tuple[tuple[float, float, float], tuple[float, float, float]]


class Pretrained(msgspec.Struct, frozen=True):
    """Describe the weights that others have trained for a network on ImageNet, without its classes.

    Attributes:
        colours: mean and standard deviation of each channel, in grey levels, that the network takes for 0 and 1.
        cut: the last layer that fine-tuning leaves as it is, unless told otherwise.
        url: where Keras has the weights.
        digest: MD5 or SHA-256 of that file; empty where Keras tells none.
        licence: of the weights, and who gave them.
    """

    colours: Colours
    cut: str
    url: str
    digest: str
    licence: str


class NetworkSpec(msgspec.Struct, frozen=True):
    """Describe a network.

    Attributes:
        about: what it is, in a few words, and how many parameters it has for 10 classes.
        builder: `module:function` that turns normalised images, a keras tensor (B, H, W, C), and the number of classes
            into class probabilities (B, classes).
        start: `module:function` that sets, in a built network, the first weights that depend on training images
            (N, H, W, C), where there are such.
        own_dropout: whether it keeps the dropout of its description unless another is asked for.
        pretrained: its weights from ImageNet, where there are such.
    """

    about: str
    builder: str
    start: str = ""
    own_dropout: bool = True
    pretrained: Pretrained | None = None


_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/"
_TO_ONE: Colours = ((127.5,) * 3, (127.5,) * 3)
_IMAGENET: Colours = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
_AIRBENCH_START = "evacli.models.airbench:start"

NETWORKS = {
    "eva": NetworkSpec("the network of the assignment, 0.5 M", "evacli.models.eva:eva", own_dropout=False),
    "resnet9": NetworkSpec("led DAWNBench, 6.6 M", "evacli.models.resnet:resnet9"),
    "resnet20": NetworkSpec("He et al. for CIFAR, 0.3 M", "evacli.models.resnet:resnet20"),
    "airbench": NetworkSpec("wide and flat, 2.0 M", "evacli.models.airbench:airbench", _AIRBENCH_START),
    "airbench_small": NetworkSpec(
        "half as wide as airbench, 0.5 M", "evacli.models.airbench:airbench_small", _AIRBENCH_START
    ),
    "mobilenet_v2": NetworkSpec(
        "Sandler et al. 2018, 2.3 M",
        "evacli.models.backbones:mobilenet_v2",
        pretrained=Pretrained(
            _TO_ONE,
            "block_12_add",
            f"{_KERAS}mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
            "",
            "Apache-2.0, Google",
        ),
    ),
    "mobilenet_v3_small": NetworkSpec(
        "Howard et al. 2019, 0.9 M",
        "evacli.models.backbones:mobilenet_v3_small",
        pretrained=Pretrained(
            _TO_ONE,
            "expanded_conv_7_add",
            f"{_KERAS}mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
            "d3e8ec802a04aa4fc771ee12a9a9b836",
            "Apache-2.0, Google",
        ),
    ),
    "efficientnet_v2_b0": NetworkSpec(
        "Tan & Le 2021, 5.9 M",
        "evacli.models.backbones:efficientnet_v2_b0",
        pretrained=Pretrained(
            _IMAGENET,
            "block5e_add",
            f"{_KERAS}efficientnet_v2/efficientnetv2-b0_notop.h5",
            "893217f2bb855e2983157299931e43ff",
            "Apache-2.0, Google",
        ),
    ),
    "resnet50_v2": NetworkSpec(
        "He et al. 2016, 23.6 M",
        "evacli.models.backbones:resnet50_v2",
        pretrained=Pretrained(
            _TO_ONE,
            "conv4_block6_out",
            f"{_KERAS}resnet/resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "fac2f116257151a9d068a22e544a4917",
            "BSD-3-Clause, Facebook",
        ),
    ),
    "convnext_tiny": NetworkSpec(
        "Liu et al. 2022, 27.8 M",
        "evacli.models.backbones:convnext_tiny",
        pretrained=Pretrained(
            _IMAGENET,
            "convnext_tiny_downsampling_block_2",
            f"{_KERAS}convnext/convnext_tiny_notop.h5",
            "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
            "MIT, Meta",
        ),
    ),
}
