"""The built-in data sets: an entry here, and the function that it names, are all that a data set needs."""

import msgspec


class DatasetSpec(msgspec.Struct, frozen=True):
    """Describe a data set.

    Attributes:
        reader: `module:function` that turns the name of the data set into its training and its test split.
        class_names: the name of each label.
        num_images: for training and testing together.
        side: of each image, in pixels.
        flippable: whether an image mirrored left to right still shows its class.
    """

    reader: str
    class_names: tuple[str, ...]
    num_images: int
    side: int
    flippable: bool = True


_KERAS = "evacli.data.keras_datasets:read"
_DIGITS = tuple("0123456789")
_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
_FASHION = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)

DATASETS = {
    "cifar10": DatasetSpec(_KERAS, tuple(_CIFAR10.split()), 60_000, 32),
    "cifar100": DatasetSpec(_KERAS, tuple(_CIFAR100.split()), 60_000, 32),
    "fashion_mnist": DatasetSpec(_KERAS, _FASHION, 70_000, 28),
    "mnist": DatasetSpec(_KERAS, _DIGITS, 70_000, 28, flippable=False),
    "digits": DatasetSpec("evacli.data.digits:read", _DIGITS, 1_797, 32, flippable=False),
}
