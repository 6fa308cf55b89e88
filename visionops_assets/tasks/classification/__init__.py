"""Classification: an image shows one thing of several, and the model names it."""
