"""Rules of the beacon: ceremonies that deal its key, and the partials that make it."""
