from pybuild import image

base = image("alpine"  # E: invalid syntax: '(' was never closed
