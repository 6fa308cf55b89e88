"""Multi-label: an image shows any number of things, and the model names each of them."""

SCORES = ("macro_f1", "micro_f1", "accuracy")
