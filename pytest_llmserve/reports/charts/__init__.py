"""What plots are drawn from: the requests of a run brought down to a few hundred figures."""
