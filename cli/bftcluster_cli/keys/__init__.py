"""Keys of maintainers: their files and passphrases."""
