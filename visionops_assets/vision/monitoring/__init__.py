"""The mathematics of monitoring: sequential alarms, drift tests, estimates, image quality, scores.

Pure functions of arrays. Not here: where the arrays come from, what is stored, and what follows
from a result; that is the monitoring stage's.
"""
