"""What is shown to others: layers on axes, figures, films as files, the page of results and its sections."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
