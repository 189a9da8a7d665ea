"""What a network says about one picture."""

import msgspec

MOST_IN_GRID = 25  # pictures of where the network looked


class Prediction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a network says about a picture.

    Attributes:
        picture: the path of its file; of an array the index.
        predicted: the most probable class.
        probability: of that class, a share of 1.
        probabilities: of every class, in the order of the run's classes.
        overlay: the file that shows where the network looked, if that was asked for.
    """

    picture: str
    predicted: str
    probability: float
    probabilities: tuple[float, ...]
    overlay: str | None = None
