"""Byzantine peers, and how they change, invent and time what they say."""
