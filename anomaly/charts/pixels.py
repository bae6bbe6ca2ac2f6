"""A figure as pixels."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def pixels_of(figure: Figure) -> np.ndarray:
    """Draw a figure and return its pixels, (height, width, 4) of 0 to 255; always the same for a figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())
