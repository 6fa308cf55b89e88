"""Classification: an image shows one thing of several, and the model names it."""

SCORES = ("accuracy", "macro_f1")
