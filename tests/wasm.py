"""Runs translated modules without a browser: memory in and out, many points at once."""

import jax
import numpy as np
import wasmtime

ENGINE = wasmtime.Engine()
TYPES = {"f": np.float32, "i": np.int32, "u": np.uint32, "b": np.int32}


class Running:
    """A module with its memory, and one more for each site that it calls."""

    def __init__(self, translated, model=(), parts=(), store=None):
        """`parts`: for each part of a rule its module and its model."""
        self.translated, self.store = translated, store or wasmtime.Store(ENGINE)
        called = [Running(*parts[site], store=self.store) for site in translated.sites]
        imports = [site.exports[name] for site in called for name in ("at", "score")]
        module = wasmtime.Module(ENGINE, translated.code)
        self.exports = wasmtime.Instance(self.store, module, imports).exports(self.store)
        memory = self.exports["memory"]
        self.bytes = np.frombuffer(memory.get_buffer_ptr(self.store, memory.data_len(self.store), 0), np.uint8)
        self.called = called  # their memories live as long as this
        for field, array in zip(translated.folded, translated.fold(model), strict=True):
            self.put(field, array)

    def put(self, field, array):
        """An array to where it belongs."""
        data = np.ascontiguousarray(array, TYPES[field.dtype]).reshape(-1).view(np.uint8)
        self.bytes[field.address : field.address + data.size] = data

    def column(self, field, i, n):
        """Number i of each of n points, to be read and written."""
        at = field.address + 4 * i * self.translated.capacity
        return self.bytes[at : at + 4 * n].view(TYPES[field.dtype])

    def __call__(self, uniforms, points):
        """The results of all points, as a list of arrays [n, ...]."""
        for field, leaf in zip(self.translated.uniforms, jax.tree.leaves(uniforms), strict=True):
            self.put(field, leaf)
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(points)]
        n = len(leaves[0])
        for field, leaf in zip(self.translated.points, leaves, strict=True):
            for i, numbers in enumerate(leaf.reshape(n, -1).T):
                self.column(field, i, n)[:] = numbers
        self.exports["prepare"](self.store)
        self.exports["run"](self.store, n)
        found = []
        for field in self.translated.results:
            size = int(np.prod(field.shape))
            columns = [self.column(field, i, n).copy() for i in range(size)]
            array = np.stack(columns, -1) if size else np.zeros((n, 0))
            found.append(array.reshape(n, *field.shape) != 0 if field.dtype == "b" else array.reshape(n, *field.shape))
        return found
