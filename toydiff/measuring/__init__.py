"""Samples and models in numbers with errors, beside the truth: metrics, settings, and sweeps over many of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
