"""Every reader takes its seeds, and a moment's worth of what mutations make of them."""

import warnings

import pytest
from fuzz import READERS, feed
from hypothesis import given, settings
from hypothesis import strategies as st

SLOW = {"model", "history", "data"}
NAMES = [pytest.param(name, marks=pytest.mark.tensorflow) if name == "model" else name for name in READERS]


@pytest.mark.parametrize("name", NAMES)
def test_readers_use_what_they_were_made_for(name: str) -> None:
    reader = READERS[name]
    refused = 0
    for seed in reader.seeds():
        try:
            reader.use(seed)
        except Exception:
            refused += 1
    assert refused < len(reader.seeds())


@st.composite
def mutations(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed with some stretches replaced, removed or doubled."""
    content = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 12)))
        texts = st.sampled_from(
            [b"NaN", b"1e999", b"-1", b'"\\ud800"', b"\\u0000", b"[" * 40, b"9" * 30, b"null", b"{}"]
        )
        content = content[:start] + draw(st.binary(max_size=12) | texts) + content[end:]
    return content


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_whatever_becomes_of_a_file_is_used_or_refused_in_one_line(name: str) -> None:
    @settings(max_examples=15 if name in SLOW else 100)
    @given(mutations(READERS[name].seeds()))
    def fed(content: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            feed(name, content)

    fed()
