from pybuild import scratch, target


@target
def tools():
    return scratch()


@target(default=True)
def app():
    return scratch().copy(  # E: copy(): source must be State or PathRef or Document or str or Sequence[State or PathRef or Document or str], got Target  # H: call it: tools()
        tools, "/"
    )
