"""From predictions to numbers that say how good, how sure, for whom, and comparable with what."""
