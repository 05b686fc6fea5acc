from .metrics import METRICS as METRICS
from .metrics import evaluate as evaluate
from .model_metrics import MODEL_METRICS as MODEL_METRICS
from .model_metrics import evaluate_model as evaluate_model
from .reference import Reference as Reference
from .sweep import run_sweep as run_sweep
from .sweep_table import Sweep as Sweep
from .sweep_table import load_sweep as load_sweep
