from pybuild import cache

mount = cache("/c", sharing="exclusive")  # E: cache(): sharing must be 'shared' or 'private' or 'locked', got 'exclusive'
