"""The explorer: a state, what is computed and drawn of it, and its hosts: notebooks, a page without code, a file."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
