"""One process: ports, configuration, composition and loops."""
