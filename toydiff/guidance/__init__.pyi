from .methods import METHODS as METHODS
from .methods import Guided as Guided
from .methods import WeightCurve as WeightCurve
from .methods import guide as guide
from .named import guided_model as guided_model
