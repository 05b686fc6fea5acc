"""WebAssembly's binary form: numbers, instructions, functions and modules.

The codes are those of the specification, https://webassembly.github.io/spec/core/, with its vector instructions.
"""

import struct
from collections.abc import Callable, Sequence

POINTS = 8
"""Points at a time."""
OF_POINTS = "point", "scratch"
I32, V128 = b"\x7f", b"\x7b"


def unsigned(value: int) -> bytes:
    """LEB128."""
    found = bytearray()
    while True:
        value, low = value >> 7, value & 127
        found.append(low | (128 if value else 0))
        if not value:
            return bytes(found)


def signed(value: int) -> bytes:
    """LEB128 of a number that may be negative."""
    found = bytearray()
    while True:
        value, low = value >> 7, value & 127
        done = value == (-1 if low & 64 else 0)
        found.append(low | (0 if done else 128))
        if done:
            return bytes(found)


def simd(code: int) -> bytes:
    """A vector instruction."""
    return b"\xfd" + unsigned(code)


LOAD, SPLAT, STORE, CONST, STORE_LANE = map(simd, (0, 9, 11, 12, 90))
ADD_I32, MUL_I32, LESS, GET, SET, CALL, BLOCK_END = b"\x6a", b"\x6c", b"\x49", b"\x20", b"\x21", b"\x10", b"\x0b"
LOOP, AGAIN = b"\x03\x40", b"\x0d\x00"
MUL, ADD = simd(0xE6), simd(0xE4)

FLOATS = "abs", "neg", "", "sqrt", "add", "sub", "mul", "div", "min", "max"
# By operation and type of the arguments; "f" float32, "i" int32, "u" uint32, "b" a mask of all ones or none.
CODES: dict[tuple[str, str], int] = {
    **{(op, "f"): 0xE0 + i for i, op in enumerate(FLOATS)},
    **{(op, "f"): 0x41 + i for i, op in enumerate(("eq", "ne", "lt", "gt", "le", "ge"))},
    **{(op, "f"): 0x67 + i for i, op in enumerate(("ceil", "floor", "", "nearest"))},
    **{(op, kind): 0x37 + i for i, op in enumerate(("eq", "ne")) for kind in "iub"},
    **{(op, "i"): 0x39 + 2 * i for i, op in enumerate(("lt", "gt", "le", "ge"))},
    **{(op, "u"): 0x3A + 2 * i for i, op in enumerate(("lt", "gt", "le", "ge"))},
    **{(op, kind): code for op, code in (("add", 0xAE), ("sub", 0xB1), ("mul", 0xB5), ("neg", 0xA1)) for kind in "iu"},
    **{("abs", "i"): 0xA0, ("min", "i"): 0xB6, ("min", "u"): 0xB7, ("max", "i"): 0xB8, ("max", "u"): 0xB9},
    **{(op, kind): 0x4D + i for i, op in enumerate(("not", "and", "", "or", "xor")) for kind in "iub"},
    **{("shl", kind): 0xAB for kind in "iu"},
    **{("sar", kind): 0xAC for kind in "iu"},
    **{("shr", kind): 0xAD for kind in "iu"},
    **{("convert_fi", "f"): 0xF8, ("convert_fu", "f"): 0xF9, ("convert_if", "i"): 0xFA, ("convert_uf", "u"): 0xFB},
}
NO_CODE = {"bits", "convert_iu", "convert_ui"}
MASKED = {"convert_bf": ("f", 1.0), "convert_bi": ("i", 1), "convert_bu": ("u", 1)}


def packed(value: object, dtype: str) -> bytes:
    """A number's four bytes."""
    if dtype == "f":
        return struct.pack("<f", value)
    return struct.pack("<I", (-int(bool(value)) if dtype == "b" else int(value)) & 0xFFFFFFFF)  # type: ignore[call-overload]


class Function:
    """The code of one function: locals, and instructions one after the other."""

    def __init__(self, arguments: Sequence[bytes] = ()):
        """`arguments`: their kinds."""
        self.arguments, self.kinds = len(arguments), list(arguments)
        self.code: list[bytes] = []

    def local(self, kind: bytes = V128) -> int:
        """The number of a new local."""
        self.kinds.append(kind)
        return len(self.kinds) - 1

    def put(self, *parts: bytes) -> None:
        """Instructions."""
        self.code.extend(parts)

    def get(self, local: int) -> None:
        """A local's value on the stack."""
        self.put(GET, unsigned(local))

    def set(self, local: int) -> None:
        """The stack's top to a local."""
        self.put(SET, unsigned(local))

    def integer(self, value: int) -> None:
        """An int32 on the stack."""
        self.put(b"\x41", signed(value))

    def count(self, counter: int, stop: int | bytes, step: int, body: Callable[[], None]) -> None:
        """for (counter = 0; counter < stop; counter += step); it runs once at least."""
        self.integer(0)
        self.set(counter)
        self.put(LOOP)
        body()
        self.get(counter)
        self.integer(step)
        self.put(ADD_I32, b"\x22", unsigned(counter))
        if isinstance(stop, int):
            self.integer(stop)
        else:
            self.put(stop)
        self.put(LESS, AGAIN, BLOCK_END)

    def encoded(self) -> bytes:
        """With its locals, as the code section wants it."""
        kinds = self.kinds[self.arguments :]
        groups: list[list] = []
        for kind in kinds:
            if groups and groups[-1][1] == kind:
                groups[-1][0] += 1
            else:
                groups.append([1, kind])
        head = unsigned(len(groups)) + b"".join(unsigned(n) + kind for n, kind in groups)
        body = head + b"".join(self.code) + BLOCK_END
        return unsigned(len(body)) + body


def sections(
    bodies: Sequence[bytes], pages: int, names: Sequence[str], kinds: Sequence[int], imports: Sequence[bytes]
) -> bytes:
    """A module of functions, the first ones exported by their names, and a memory.

    `kinds` are the numbers of their types; those that have no name are products'.
    """
    types = [((), ()), ((I32,), ()), ((I32,) * 3, ()), ((V128,), ()), ((V128,) * 4, (V128,) * 4)]
    of_all = [*kinds] + [2] * (len(bodies) - 2)
    functions = [name_of(name) + b"\x00" + unsigned(len(imports) + i) for i, name in enumerate(names)]
    sections = {
        1: vector([b"\x60" + vector(taken) + vector(given) for taken, given in types]),
        2: vector(imports),
        3: vector([unsigned(kind) for kind in of_all]),
        5: vector([b"\x00" + unsigned(pages)]),
        7: vector([name_of("memory") + b"\x02\x00", *functions]),
        10: vector(bodies),
    }
    parts = (bytes([number]) + unsigned(len(body)) + body for number, body in sections.items())
    return b"\0asm\x01\0\0\0" + b"".join(parts)


def vector(parts: Sequence[bytes]) -> bytes:
    """How many there are, and these."""
    return unsigned(len(parts)) + b"".join(parts)


def name_of(name: str) -> bytes:
    """A name, as imports and exports have it."""
    return unsigned(len(name)) + name.encode()
