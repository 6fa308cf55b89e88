"""Export to ONNX and atomic release to Triton."""
