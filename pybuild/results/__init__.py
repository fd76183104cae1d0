"""What a build leaves in the hands of the caller: its steps, logs and files, as values that show themselves."""
