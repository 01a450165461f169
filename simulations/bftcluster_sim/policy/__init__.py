"""What the engines share: the core's own policies, in the form that each of them needs."""
