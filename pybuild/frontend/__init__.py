"""Frontends: what turns a build description into a graph."""
