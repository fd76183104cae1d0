"""The graph: immutable typed ops, vertices, edges, and how to walk, build and encode them.

`ops mounts files meta` are the values, `vertex` ties them together, `walk` follows edges, `construct` makes
vertices. Nothing here does I/O or knows an engine.
"""
