"""What can be asked of a Dockerfile besides building it: `--call targets`, `--call outline`, `--call check`.

One module per question, each with the answer as a value and as the text and the JSON that `docker buildx` prints.
"""
