"""8-bit activations and weights for a Core ML package, calibrated without a Mac.

coremltools has the graph passes, but finds the ranges by predicting, which needs macOS, and its release 9.0 keeps the
last sample's range only.  Here the interpreter of ML programs finds them, over all samples.
"""
