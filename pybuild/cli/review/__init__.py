"""`pybuild graph --diff`: the graphs of two revisions of a git repository, compared."""
