"""pybuild."""
