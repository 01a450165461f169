"""Blocks between peers: wants and answers, and fetching a whole DAG from several at once."""
