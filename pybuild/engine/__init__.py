"""Engines: where definitions meet execution."""
