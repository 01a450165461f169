"""Bringing a peer that lags to the present: states and epochs, given, taken and proved."""
