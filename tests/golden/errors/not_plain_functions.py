from pybuild import scratch, target


@target  # E: target "app" is not a plain function
async def app():
    return scratch()
