"""Other people's models: ONNX, torch.export, TorchScript, Python factories."""
