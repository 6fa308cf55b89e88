"""The command line of a child that sees nothing of its surroundings, but runs the same code.

Python's `-I` leaves out `PYTHONPATH`, the working folder and the user's own packages, so that none
of them can slip code into a decoder. By itself it would also take whichever copy of ours is
installed, which need not be the one that runs.
"""

import sys
from pathlib import Path

PACKAGE_ROOT = Path(__file__).resolve().parents[3]
"""The folder that holds the package of this very file."""
PACKAGE = __name__.partition(".")[0]

# Once the package is imported, its modules are found through it: the folder stays on the path for
# that one import, and can replace nothing of the standard library or of other packages.
_START = f"""
import runpy, sys
root, module = sys.argv[1:3]
sys.path.insert(0, root)
import {PACKAGE}
sys.path.remove(root)
del sys.argv[1:3]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def isolated(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of ours by itself, from the folder it lies in here.

    That folder comes from where this file was loaded: neither the environment nor any input names
    it.
    """
    return [sys.executable, "-I", "-c", _START, str(PACKAGE_ROOT), module, *arguments]
