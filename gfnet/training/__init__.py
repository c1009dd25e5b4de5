"""Training in four stages; see :mod:`gfnet.training.trainer`."""
