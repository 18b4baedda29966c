"""Intervals and bounds for shares, quantiles and means. Pure; scipy.special only, imported when used."""
