"""The HTTP gateway: predictions for clients that do not speak gRPC, and labels for predictions."""
