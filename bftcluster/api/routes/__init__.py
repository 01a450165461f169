"""The routes, a module for each group; each asks the port of its group alone."""
