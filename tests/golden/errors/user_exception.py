def version():
    return {}["version"]  # E: the Buildfile failed: KeyError: 'version'


VERSION = version()
