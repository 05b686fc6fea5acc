"""The floor: checks, files, progress, devices, random numbers, and the three classes of score models."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
