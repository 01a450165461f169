"""How this peer and the cluster are doing, for people and for their monitors."""
