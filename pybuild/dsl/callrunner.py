"""Runs inside a build step: loads the payload of `State.call` and calls the function. Shipped as text, never imported.

Kept to syntax that old Pythons can parse, so that they can say what is wrong.
"""

import linecache
import os
import pickle
import sys
import traceback

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  # old Pythons


def main():  # type: ignore[no-untyped-def]  # old Pythons know no annotations
    """Call the function; the exit code is 0, 1 when it raised, 126 when this Python cannot run it."""
    if _HERE not in sys.path:  # PYTHONSAFEPATH and the like leave it out
        sys.path.insert(0, _HERE)
    with open(os.path.join(_HERE, "payload"), "rb") as stream:  # noqa: PTH118, PTH123
        implementation, major, minor, name = pickle.load(stream)  # noqa: S301  # written by this project
        here = getattr(getattr(sys, "implementation", None), "name", "python")
        if (here, sys.version_info[0], sys.version_info[1]) != (implementation, major, minor):
            wanted = "%s %d.%d" % (implementation, major, minor)  # noqa: UP031
            found = "%s %d.%d" % (here, sys.version_info[0], sys.version_info[1])  # noqa: UP031
            sys.stderr.write("call(%s) was defined with %s, but this image has %s\n" % (name, wanted, found))  # noqa: UP031
            sys.stderr.write("use an image with the same Python version, or run pybuild with that one\n")
            return 126
        try:
            function, args, kwargs, source = pickle.load(stream)  # noqa: S301  # written by this project
        except ImportError as error:
            sys.stderr.write("call(%s) needs a module that this image does not have: %s\n" % (name, error))  # noqa: UP031
            return 126
    if source:
        file = "<%s>" % name  # noqa: UP031
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    try:
        function(*args, **kwargs)
    except Exception:
        kind, value, trace = sys.exc_info()
        traceback.print_exception(kind, value, trace.tb_next if trace and trace.tb_next else trace)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())  # type: ignore[no-untyped-call]  # as above
