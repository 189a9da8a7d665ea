"""Reading pickles without unpickling: CIFAR's Python batches come from anywhere.

Of the pickle language, only what plain lists, dictionaries, texts, numbers and arrays of bytes are made of is
understood. Nothing that a pickle names is imported or called: such a call is kept as a `Record`, and `pixels` reads
NumPy's. A limit on the steps bounds time and memory, which `pickle.Unpickler` with a restricted `find_class` does not:
a few bytes make that allocate gigabytes for its memo, or hash nested tuples for ever.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pickletools import genops
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evacli.messages import short

# CIFAR-100's training batch takes 250,000.
MAX_STEPS = 1_000_000
MAX_TEXT = 1000

ARRAY = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")
DTYPE = ("numpy dtype",)
# How protocol 2 of Python 3 spells bytes.
ENCODE = ("_codecs encode",)
_KNOWN = {*ARRAY, *DTYPE, *ENCODE, "numpy ndarray"}


@dataclass
class Record:
    """A call that a pickle asks for, not done: the function, its arguments, and the state given to what it returns."""

    name: str
    arguments: list[Any] | None = None
    state: Any = None


def loads(content: bytes) -> object:
    """Return the object in a pickle; tuples become lists, byte strings of Python 2 become text in Latin-1.

    Raises:
        ValueError: if the pickle does anything that a data set has no need of; garbage may raise other errors as well.
    """
    machine = _Machine()
    for step, (opcode, argument, _) in enumerate(genops(content)):
        if step == MAX_STEPS:
            raise ValueError(f"it takes more than {MAX_STEPS:,} steps")
        machine.do(opcode.name, argument)
    return machine.stack.pop()


def pixels(value: object) -> NDArray[np.uint8]:
    """Return the array of uint8 that NumPy pickled.

    Raises:
        ValueError: if it is anything else.
    """
    state = value.state if isinstance(value, Record) and value.name in ARRAY else None
    if not (isinstance(state, list) and len(state) == 5):
        raise ValueError("the images are not an array")
    _version, shape, dtype, by_column, content = state
    if not (isinstance(dtype, Record) and dtype.name in DTYPE and dtype.arguments and text(dtype.arguments[0]) == "u1"):
        raise ValueError("the images are not an array of uint8")
    return np.frombuffer(_raw(content), np.uint8).reshape(shape, order="F" if by_column is True else "C")


def text(value: object) -> str:
    """Return a text or byte string of the pickle as text.

    Raises:
        ValueError: if it is anything else.
    """
    value = _without_encoding(value)
    if not isinstance(value, (str, bytes)) or len(value) > MAX_TEXT:
        raise ValueError("a short text is expected where there is none")
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _without_encoding(value: object) -> object:
    if isinstance(value, Record) and value.name in ENCODE and value.arguments:
        return value.arguments[0]
    return value


def _raw(value: object) -> bytes:
    value = _without_encoding(value)
    if isinstance(value, str):
        return value.encode("latin-1")
    if isinstance(value, bytes):
        return value
    raise ValueError("bytes are expected where there are none")


class _Machine:
    """The stack machine that pickles are programs of, without the instructions that reach outside."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def do(self, opcode: str, argument: Any) -> None:
        if opcode in _LITERALS:
            self.stack.append(argument)
        elif opcode in _INSTRUCTIONS:
            _INSTRUCTIONS[opcode](self, argument)
        else:
            raise ValueError(f"it uses {opcode}, which no data set needs")

    def push(self, value: object) -> None:
        self.stack.append(value)

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def since_mark(self) -> list[Any]:
        return self.take(len(self.stack) - self.marks.pop())

    def take(self, count: int) -> list[Any]:
        start = len(self.stack) - count
        if start < 0:
            raise ValueError("it takes more than it has put on the stack")
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise ValueError("it appends to what is no list")
        self.stack[-1].extend(items)

    def update(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict):
            raise ValueError("it sets items of what is no dictionary")
        self.stack[-1].update(zip(map(text, items[::2]), items[1::2], strict=True))

    def dictionary(self) -> None:
        items = self.since_mark()
        self.push({})
        self.update(items)

    def remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def name(self, spelled: str) -> None:
        if spelled not in _KNOWN:
            raise ValueError(f"it asks for {short(spelled).replace(' ', '.')}, which no data set needs")
        self.push(Record(spelled))

    def reduce(self) -> None:
        function, arguments = self.take(2)
        if not (isinstance(function, Record) and isinstance(arguments, list)):
            raise ValueError("it calls what is no function")
        self.push(Record(function.name, arguments))

    def build(self) -> None:
        (state,) = self.take(1)
        if not isinstance(self.stack[-1], Record):
            raise ValueError("it sets the state of what has none")
        self.stack[-1].state = state


_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
}
_INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda m, _: None),
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "MARK": lambda m, _: m.mark(),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_TUPLE"), lambda m, _: m.push([])),
    "EMPTY_DICT": lambda m, _: m.push({}),
    **dict.fromkeys(("LIST", "TUPLE"), lambda m, _: m.push(m.since_mark())),
    "TUPLE1": lambda m, _: m.push(m.take(1)),
    "TUPLE2": lambda m, _: m.push(m.take(2)),
    "TUPLE3": lambda m, _: m.push(m.take(3)),
    "DICT": lambda m, _: m.dictionary(),
    "APPEND": lambda m, _: m.extend(m.take(1)),
    "APPENDS": lambda m, _: m.extend(m.since_mark()),
    "SETITEM": lambda m, _: m.update(m.take(2)),
    "SETITEMS": lambda m, _: m.update(m.since_mark()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda m, index: m.remember(index)),
    "MEMOIZE": lambda m, _: m.remember(len(m.memo)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, index: m.push(m.memo[index])),
    "GLOBAL": lambda m, spelled: m.name(spelled),
    "STACK_GLOBAL": lambda m, _: m.name(" ".join(map(text, m.take(2)))),
    "REDUCE": lambda m, _: m.reduce(),
    "BUILD": lambda m, _: m.build(),
}
