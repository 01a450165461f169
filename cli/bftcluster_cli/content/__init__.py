"""Content on this machine: what is uploaded, downloaded, and checked on the way."""
