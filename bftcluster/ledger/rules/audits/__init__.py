"""Audits: lots are drawn, holders answer, voters look, and what comes of it is judged."""
