"""Helpers for testing Buildfiles."""
