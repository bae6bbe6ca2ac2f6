"""A figure as pixels."""

import numpy as np
from matplotlib.figure import Figure

from anomaly.charts import pixels_of


def test_a_figure_is_drawn_in_its_size_and_colour():
    pixels = pixels_of(Figure(figsize=(2, 1), dpi=10, facecolor="red"))
    assert pixels.shape == (10, 20, 4)
    assert (pixels == np.array([255, 0, 0, 255], np.uint8)).all()
