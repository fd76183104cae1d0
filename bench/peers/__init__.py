"""The builders that are measured side by side: pybuild, and what people use today."""
