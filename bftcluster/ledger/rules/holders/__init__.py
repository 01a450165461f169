"""Who is to hold a pin: the best of the candidates, by the strategy that it names."""
