"""Files of annotations as tools write them: a module per format, which `registry.py` names.

A format knows files, pictures and boxes. It knows no task, no catalog and no service.
"""
