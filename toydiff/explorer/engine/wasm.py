"""A lowered program as a WebAssembly module: SIMD, a point in each lane, two vectors of four at a time.

The module exports its memory, `prepare()`, which computes what all points share, and `run(count)`, which treats the
first points.
"""

from collections.abc import Sequence
from itertools import product

from toydiff.base.checks import InputError
from toydiff.explorer.engine.binary import (
    ADD,
    ADD_I32,
    AGAIN,
    BLOCK_END,
    CALL,
    CODES,
    CONST,
    GET,
    I32,
    LESS,
    LOAD,
    LOOP,
    MASKED,
    MUL,
    MUL_I32,
    NO_CODE,
    OF_POINTS,
    POINTS,
    SET,
    SPLAT,
    STORE,
    STORE_LANE,
    V128,
    Function,
    name_of,
    packed,
    sections,
    simd,
    unsigned,
)
from toydiff.explorer.engine.program import NEUTRAL, Product, Program, Ref, Segment, View


class Layout:
    """Where everything stands in memory, in bytes."""

    def __init__(self, folded: int, uniform: int, point: int, scratch: int, capacity: int):
        """The sizes of the parts in numbers, of `point` and `scratch` in numbers of each point."""
        self.unit = {"folded": 4, "uniform": 4, "point": 4 * capacity, "scratch": 4 * POINTS}
        sizes = {"folded": folded, "uniform": uniform, "point": point, "scratch": scratch}
        self.base, at = {}, 64
        for kind, size in sizes.items():
            self.base[kind] = at
            at += -(-size * self.unit[kind] // 64) * 64
        self.pages = at // 65536 + 1

    def address(self, view: View) -> int:
        """Of an array's first number."""
        return self.base[view.buffer.kind] + self.unit[view.buffer.kind] * (view.buffer.address + view.offset)


class Writer:
    """Writes the segments of a program into a function, `width` vectors at a time."""

    def __init__(self, layout: Layout, width: int, products: "Products", arguments: Sequence[bytes] = ()):
        """`width`: 2 for points, 1 for what all of them share."""
        self.layout, self.width, self.products = layout, width, products
        self.function = Function(arguments)
        self.locals: dict[Ref, list[int]] = {}
        self.widths: dict[Ref, int] = {}
        self.constants: dict[bytes, int] = {}
        self.head: list[bytes] = []
        self.point = 0
        """The local with the first point's place in bytes."""

    def write(self, program: Program) -> None:
        """All segments."""
        for segment in program.segments:
            self._find_widths(segment)
            if segment.product:
                self._product(segment.product)
            elif segment.shape:
                self._loop(segment)
            else:
                self._line(segment, {})

    def _find_widths(self, segment: Segment) -> None:
        """What depends on no point is the same in all lanes: one local holds it."""
        for ref in segment.ops:
            wide = ref.op == "call" or (ref.op == "load" and ref.given.buffer.kind in OF_POINTS)
            self.widths[ref] = self.width if wide else max((self._width(arg) for arg in ref.args), default=1)
        self.widths.update((total, self._width(inside)) for total, inside in segment.sums)

    def encoded(self) -> bytes:
        """The function, its constants first."""
        self.function.code[:0] = self.head
        return self.function.encoded()

    def _line(self, segment: Segment, places: dict[tuple[int, ...], int]) -> None:
        for ref in segment.ops:
            self._operation(ref, places)
        for entry in segment.entries:
            self.value(entry.sigma, 0)
            self.function.put(CALL, unsigned(2 * entry.site))
        for ref, view in segment.stores:
            if view.buffer.stored:
                self._store(ref, view, places)

    def _loop(self, segment: Segment) -> None:
        for total, _ in segment.sums:
            for local in self._hold(total):
                self.function.get(self._constant(NEUTRAL[total.op], total.dtype))
                self.function.set(local)
        counters = [self.function.local(I32) for _ in segment.shape]

        def nest(level: int) -> None:
            if level < len(counters):
                self.function.count(counters[level], segment.shape[level], 1, lambda: nest(level + 1))
                return
            self._line(segment, {(): -1, **{(i,): counter for i, counter in enumerate(counters)}})
            for total, inside in segment.sums:
                for half, local in enumerate(self.locals[total]):
                    self.function.get(local)
                    self.value(inside, half)
                    self.function.put(simd(CODES[total.op, total.dtype]))
                    self.function.set(local)

        nest(0)

    # Numbers

    def _width(self, ref: Ref) -> int:
        return self.widths.get(ref, 1)  # that of a constant

    def _hold(self, ref: Ref) -> list[int]:
        self.locals[ref] = [self.function.local() for _ in range(self._width(ref))]
        return self.locals[ref]

    def _constant(self, value: object, dtype: str) -> int:
        """The local of a constant, which is set once."""
        key = packed(value, dtype)
        if key not in self.constants:
            local = self.constants[key] = self.function.local()
            self.head += [CONST, key * 4, SET, unsigned(local)]
        return self.constants[key]

    def value(self, ref: Ref, half: int) -> None:
        """A number on the stack; what is the same for all points has one local for both halves."""
        if ref.op == "const":
            self.function.get(self._constant(ref.given, ref.dtype))
        else:
            self.function.get(self.locals[ref][min(half, len(self.locals[ref]) - 1)])

    def _operation(self, ref: Ref, places: dict[tuple[int, ...], int]) -> None:
        f = self.function
        if ref.op == "load":
            self._load(ref, places)
            return
        if ref.op in ("call", "result"):
            self._call(ref)
            return
        if ref.op == "place":
            f.get(places[0,])
            f.put(simd(17))
            if ref.dtype == "f":
                f.put(simd(0xFA))
            f.set(*self._hold(ref))
            return
        for half, local in enumerate(self._hold(ref)):
            self._compute(ref, half)
            f.set(local)

    def _compute(self, ref: Ref, half: int) -> None:
        f, op, args = self.function, ref.op, ref.args
        kind = args[0].dtype
        if op == "select":
            for arg in (*args[1:], args[0]):
                self.value(arg, half)
            f.put(simd(0x52))
        elif op in ("max", "min") and kind == "f" and args[1].op == "const":  # keeps NaN, in one instruction
            for arg in args:
                self.value(arg, half)
            f.put(simd(0xEB if op == "max" else 0xEA))
        elif op in ("shl", "shr", "sar"):
            if args[1].op != "const":
                raise InputError("a shift by a number that is computed cannot be translated; by a known one it can")
            self.value(args[0], half)
            f.integer(int(args[1].given))
            f.put(simd(CODES[op, kind]))
        elif op in MASKED:
            self.value(args[0], half)
            f.get(self._constant(MASKED[op][1], MASKED[op][0]))
            f.put(simd(0x4E))
        elif op in ("convert_fb", "convert_ib", "convert_ub"):
            self.value(args[0], half)
            f.get(self._constant(0, kind))
            f.put(simd(CODES["ne", kind]))
        else:
            for arg in args:
                self.value(arg, half)
            if op not in NO_CODE:
                f.put(simd(CODES[op, kind]))

    def _call(self, ref: Ref) -> None:
        """A site's module gets two numbers of each point and gives two; `result` is one of them."""
        if ref.op == "result":
            held = self.locals[ref.args[0]]
            self.locals[ref] = held[self.width * ref.given :][: self.width]
            return
        for arg in ref.args:
            for half in range(self.width):
                self.value(arg, half)
        self.function.put(CALL, unsigned(2 * ref.given + 1))
        self.locals[ref] = [self.function.local() for _ in range(self.width * len(ref.args))]
        for local in reversed(self.locals[ref]):
            self.function.set(local)

    # Memory

    def _place(self, view: View, places: dict[tuple[int, ...], int]) -> int:
        """What of an address is computed, on the stack; the rest, which goes into the instruction."""
        f, unit, base = self.function, self.layout.unit[view.buffer.kind], self.layout.address(view)
        terms = [(places[i,], stride * unit) for i, stride in enumerate(view.strides) if stride]
        f.integer(base if any(stride < 0 for stride in view.strides) else 0)
        for counter, stride in terms:
            f.get(counter)
            f.integer(stride)
            f.put(MUL_I32, ADD_I32)
        if view.buffer.kind == "point":
            f.get(self.point)
            f.put(ADD_I32)
        return 0 if any(stride < 0 for stride in view.strides) else base

    def _load(self, ref: Ref, places: dict[tuple[int, ...], int]) -> None:
        view: View = ref.given
        wide = self.width > 1 and view.buffer.kind in OF_POINTS
        for half, local in enumerate(self._hold(ref)):
            offset = self._place(view, places) + 16 * half
            self.function.put(LOAD if wide else SPLAT, b"\x04" if wide else b"\x02", unsigned(offset))
            self.function.set(local)

    def _store(self, ref: Ref, view: View, places: dict[tuple[int, ...], int]) -> None:
        for half in range(self.width):
            offset = self._place(view, places) + 16 * half
            self.value(ref, half)
            if self.width > 1:
                self.function.put(STORE, b"\x04", unsigned(offset))
            else:
                self.function.put(STORE_LANE, b"\x02", unsigned(offset), b"\x00")

    def _product(self, of: Product) -> None:
        f = self.function
        assert self.width == 2, "what all points share has no products"
        target = View(of.target, "f", (of.target.size,), 0, (1,))
        for view in (target, of.source, of.matrix):
            f.integer(self.layout.address(view))
        f.put(CALL, unsigned(self.products.number(of)))


class Products:
    """One function for each shape of product: (target, source, matrix) of eight points, four outputs at a time."""

    ROWS = 4

    def __init__(self, first: int):
        """`first`: the number of the first function."""
        self.first = first
        self.known: dict[tuple[int, ...], int] = {}
        self.functions: list[bytes] = []

    def number(self, of: Product) -> int:
        """Of the function for a product."""
        key = (*of.matrix.shape, *of.matrix.strides, of.source.strides[0])
        if key not in self.known:
            self.known[key] = self.first + len(self.functions)
            self.functions.append(self._function(*key))
        return self.known[key]

    def _function(self, n: int, k: int, row: int, column: int, along: int) -> bytes:
        f = Function([I32] * 3)
        for start, rows in ((0, self.ROWS), (n // self.ROWS * self.ROWS, n % self.ROWS)):
            if rows and n - start >= rows:
                self._rows(f, (n - start) // rows, rows, (k, row, column, along))
        return f.encoded()

    def _rows(self, f: Function, times: int, rows: int, shape: tuple[int, int, int, int]) -> None:
        """`times` times so many outputs; target and matrix are moved on."""
        k, row, step, along = shape
        sums = [[f.local(), f.local()] for _ in range(rows)]
        vector, weight = [f.local(), f.local()], f.local()
        outer, source, matrix = (f.local(I32) for _ in range(3))

        def advance(local: int, by: int) -> None:
            f.get(local)
            f.integer(by)
            f.put(ADD_I32)
            f.set(local)

        def column() -> None:
            for half in range(2):
                f.get(source)
                f.put(LOAD, b"\x04", unsigned(16 * half))
                f.set(vector[half])
            for i in range(rows):
                f.get(matrix)
                f.put(SPLAT, b"\x02", unsigned(4 * row * i))
                f.set(weight)
                for half in range(2):
                    f.get(sums[i][half])
                    f.get(weight)
                    f.get(vector[half])
                    f.put(MUL, ADD)
                    f.set(sums[i][half])

        def row_by_row() -> None:
            for local in (local for pair in sums for local in pair):
                f.put(CONST, bytes(16))
                f.set(local)
            for local, argument in ((source, 1), (matrix, 2)):
                f.get(argument)
                f.set(local)
            f.put(LOOP)  # not unrolled: more of it at once no longer fits into the registers
            column()
            advance(matrix, 4 * step)
            advance(source, 4 * POINTS * along)
            f.get(source)
            f.get(1)
            f.integer(4 * POINTS * along * k)
            f.put(ADD_I32, LESS, AGAIN, BLOCK_END)
            for i, half in product(range(rows), range(2)):
                f.get(0)
                f.get(sums[i][half])
                f.put(STORE, b"\x04", unsigned(4 * POINTS * i + 16 * half))
            advance(0, 4 * POINTS * rows)
            advance(2, 4 * row * rows)

        f.count(outer, times, 1, row_by_row)


def module(prepare: Program, run: Program, layout: Layout, sites: int = 0) -> bytes:
    """The module of two programs: what all points share, then what is computed of each.

    It imports for each site `at(sigma)`, which is called before `run`, and `score(x, y)`, of eight points each.
    """
    products = Products(2 * sites + 2)
    shared, each = Writer(layout, 1, products), Writer(layout, 2, products, [I32])
    shared.write(prepare)
    f = each.function
    each.point, stop = f.local(I32), f.local(I32)
    f.get(0)
    f.integer(4)
    f.put(MUL_I32)
    f.set(stop)
    f.count(each.point, GET + unsigned(stop), 4 * POINTS, lambda: each.write(run))
    bodies = [shared.encoded(), each.encoded(), *products.functions]
    imports = [
        name_of(f"site{i}") + name_of(name) + b"\0" + bytes([3 + k])
        for i in range(sites)
        for k, name in enumerate(SITE)
    ]
    return sections(bodies, layout.pages, ["prepare", "run"], [0, 1], imports)


SITE = "at", "score"
"""What a module exports for those that call it, and these import."""


def part(
    prepare: Program, sigma: View, score: Program, ends: tuple[Sequence[Ref], Sequence[Ref]], layout: Layout
) -> bytes:
    """The module that others call: `at(sigma)` first, then `score(x, y)` -> two numbers, of eight points each.

    `ends` are what the program begins with, x and y, and what it comes to.
    """
    products = Products(2)
    shared, each = Writer(layout, 1, products, [V128]), Writer(layout, 2, products, [V128] * 4)
    shared.function.integer(0)
    shared.function.get(0)
    shared.function.put(STORE_LANE, b"\x02", unsigned(layout.address(sigma)), b"\x00")
    shared.write(prepare)
    given, results = ends
    for i, ref in enumerate(given):
        each.locals[ref], each.widths[ref] = [2 * i, 2 * i + 1], 2
    each.write(score)
    for result in results:
        for half in range(2):
            each.value(result, half)
    bodies = [shared.encoded(), each.encoded(), *products.functions]
    return sections(bodies, layout.pages, list(SITE), [3, 4], [])
