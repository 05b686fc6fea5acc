from .checks import InputError as InputError
from .score_model import DensityModel as DensityModel
from .score_model import Exact as Exact
from .score_model import ScoreModel as ScoreModel
