"""What is signed and ordered: operations, requests, the genesis, and what executing a request leads to."""
