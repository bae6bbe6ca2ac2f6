"""The small course of the last weeks, read back from its SVG."""

import re

import pytest

from anomaly.charts import spark_svg


def test_it_scales_to_its_largest_value_and_breaks_at_gaps():
    svg = spark_svg([0.0, 5.0, None, 10.0], [5.0, 5.0, 5.0, 5.0])
    observed = re.findall(r'points="([^"]+)" stroke="#161616"', svg)
    assert observed == ["2,23 4,13", "8,2 8,2"]  # 23 is the base, 2 the top; a single day is a point
    assert "style=" not in svg and "http" not in svg


@pytest.mark.parametrize("values", [[], [None, None], [float("nan")], [0.0, 0.0]])
def test_a_course_of_nothing_is_an_empty_picture(values):
    svg = spark_svg(values, [])
    assert svg.startswith("<svg") and "nan" not in svg
