"""One model of several: the guidance methods, and guided models by the names of their networks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
