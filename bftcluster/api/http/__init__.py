"""HTTP itself: the server, its limits, and requests and answers as bytes, forms and JSON."""
