"""Export: a network's subgraphs as ONNX and Core ML, bundled, and run without torch."""
