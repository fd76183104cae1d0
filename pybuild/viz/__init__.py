"""Drawings of graphs: one model, and a file per form."""
