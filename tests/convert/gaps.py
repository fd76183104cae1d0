"""The cases whose Buildfile differs, and why."""

GAPS = {
    "add_mixed": "a git URL in ADD counts as a path that is used of the context",
    "from_empty_image_is_scratch": "an image without layers counts as scratch",
    "from_platform_mismatch_warning": "an image of another platform than asked for",
    "named_ctx_input": "a named context",
    "named_ctx_input_metadata": "a named context",
    "named_ctx_scratch": "a named context",
}
