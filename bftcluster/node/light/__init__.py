"""The process of a light peer: no ledger, no votes, no inbound port."""
