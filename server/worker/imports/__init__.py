"""Not a package to import from: a folder on the module path of the Python processes that a model starts."""
