"""From noise to data: noise levels, solvers, the loop that takes their steps, and the likelihood of where it ends."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
