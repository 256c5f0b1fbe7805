"""What searches through the segments of the journal need: their indexes, and the jobs of many pictures at once."""
