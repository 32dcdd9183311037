"""Medians, quartiles, and the verdict on a bar."""
import statistics

WITHIN = 0.20  # a bar closer than this is decided by CPU time, not by throughput


def quartiles(values):
    """(first quartile, median, third quartile)."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    first, middle, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, middle, third


def is_near(value, bar):
    return abs(value - bar) <= WITHIN * bar


def meets(value, bar, at_least):
    return value >= bar if at_least else value <= bar


def verdict(ratios, bar, at_least, decisive=False):
    """"pass", "fail", or "unclear". Ratios near the bar are unclear when their quartiles lie wider apart than the median from the bar.
    decisive: the figures are counts, which do not vary."""
    first, middle, third = quartiles(ratios)
    if not decisive and is_near(middle, bar) and third - first > abs(middle - bar):
        return "unclear"
    return "pass" if meets(middle, bar, at_least) else "fail"


def spread(values):
    """How far the rounds lie apart, as a share of their median."""
    return (max(values) - min(values)) / statistics.median(values)
