import no_such_module_here  # E: the Buildfile failed: ModuleNotFoundError: No module named 'no_such_module_here'
