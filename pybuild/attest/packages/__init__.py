"""The packages in a file tree, as its own package databases tell them; one module for each kind.

To add one, write a module with a function from a tree to packages, and put it into `find.py`.
"""
