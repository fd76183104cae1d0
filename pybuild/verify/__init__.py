"""Proves that engines mean the same: one definition built on each, and everything that came out compared."""
