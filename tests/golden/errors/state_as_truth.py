from pybuild import scratch

base = scratch()
if base:  # E: a State is neither true nor false: nothing has been built # H: compare with None, or build it
    pass
