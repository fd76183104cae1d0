"""Caches outside the store: written by one build, read by others, in BuildKit's format (docs/cache.md)."""
