"""Multi-label: an image shows any number of things, and the model names each of them."""
