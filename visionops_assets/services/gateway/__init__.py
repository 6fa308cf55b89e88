"""The gateway: predictions by HTTP and gRPC for clients with an API key, and labels for them."""
