"""The solver: cache keys, plan, scheduler, and one executable op per file."""
