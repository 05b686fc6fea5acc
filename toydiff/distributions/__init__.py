"""What is known exactly at every noise level: mixtures, the fractal tree, drawings, and the table of all."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
