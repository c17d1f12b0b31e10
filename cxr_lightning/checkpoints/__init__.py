"""Model files: metadata, reading and writing of checkpoints, safetensors and ONNX, and weights in foreign formats."""
