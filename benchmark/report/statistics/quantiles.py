"""Quantiles of the normal and of Student's t. `scipy.special` has them and, unlike `scipy.stats`, loads at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def normal(alpha: Any) -> Array:
    """Two-sided: a standard normal lies beyond it, either side, with probability alpha."""
    from scipy.special import ndtri

    return np.asarray(-ndtri(np.asarray(alpha) / 2), dtype=np.float64)


def student(df: Any, alpha: Any) -> Array:
    """Two-sided, df > 0, broadcast against alpha."""
    from scipy.special import stdtrit

    return np.asarray(-stdtrit(df, np.asarray(alpha) / 2), dtype=np.float64)


def beyond_normal(z: Any) -> Array:
    """Two-sided p of a standard normal."""
    from scipy.special import ndtr

    return np.asarray(2 * ndtr(-np.abs(z)), dtype=np.float64)


def beyond_student(t: Any, df: Any) -> Array:
    """Two-sided p of Student's t."""
    from scipy.special import stdtr

    return np.asarray(2 * stdtr(df, -np.abs(t)), dtype=np.float64)
