from pybuild import scratch, target


@target(platforms=["linux/amd64/v1/x"])  # E: invalid platform "linux/amd64/v1/x"
def app():
    return scratch()
