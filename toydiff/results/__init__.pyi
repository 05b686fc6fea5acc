from .figures import FIGURES as FIGURES
from .figures import draw_figures as draw_figures
from .sweep_figure import draw_sweep as draw_sweep
