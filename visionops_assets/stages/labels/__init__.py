"""What frames show: the newest label of each labelled frame."""
