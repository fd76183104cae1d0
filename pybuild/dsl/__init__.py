"""The Python DSL: `State` and what chained calls make of it."""
