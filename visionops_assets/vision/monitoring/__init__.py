"""The mathematics of monitoring: sequential alarms, drift tests, estimates, image quality, scores.

Pure functions of arrays. The monitoring stage reads the arrays, stores results and acts on them.
"""
