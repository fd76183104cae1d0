"""The cases whose Buildfile differs, and why."""

GAPS = {
    "add_mixed": "a git URL in ADD counts as a path that is used of the context",
    "from_empty_image_is_scratch": "an image without layers counts as scratch",
    "named_ctx_input": "the result of another build, without the config of its image",
    "named_ctx_input_metadata": "the result of another build, with a config of its own",
    "named_ctx_scratch": "BuildKit leaves the architecture of the image empty",
}
