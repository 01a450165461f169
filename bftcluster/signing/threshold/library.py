"""Which of the two libraries a process uses."""

from functools import cache

from bftcluster.signing.threshold.blst_curve import BlstCurve
from bftcluster.signing.threshold.curve import Curve
from bftcluster.signing.threshold.python_curve import PythonCurve


@cache
def best_curve() -> Curve:
    """Return blst's, or where its wheel is not installed, the slow one; one for a process."""
    try:
        return BlstCurve()
    except ImportError:
        return PythonCurve()
