"""From JAX functions of one point to WebAssembly: what moves in the browser is computed by the same functions."""
