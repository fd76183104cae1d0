"""A client of BuildKit, usable without the rest of pybuild, and the engine on top of it."""
