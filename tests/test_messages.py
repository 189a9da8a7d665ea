from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from evacli.messages import in_words


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (Annotated[int, Meta(ge=1)], 0, "must be at least 1"),
        (Annotated[int, Meta(le=2**31 - 1)], 2**31, "must be at most 2,147,483,647"),
        (Annotated[float, Meta(gt=0)], 0.0, "must be more than 0"),
        (Annotated[float, Meta(lt=1)], 1.0, "must be less than 1"),
        (Annotated[float, Meta(ge=0.5)], 0.25, "must be at least 0.5"),
        (int | None, "x", "must be a whole number"),
        (float | Literal["auto"], True, "must be a number"),
        (bool, "x", "must be true or false"),
        (str, 3, "must be a text"),
        (Annotated[str, Meta(min_length=1)], "", "must not be empty"),
        (Literal["a", "b"], "c", "there is no such choice"),
        (list[int], 1, "expected array, got int"),
    ],
)
@pytest.mark.parametrize("place", [False, True])
def test_validation_errors_are_said_in_plain_words(kind: Any, value: Any, words: str, place: bool) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert({"a": value} if place else value, dict[str, kind] if place else kind)
    assert in_words(str(caught.value)) == words
