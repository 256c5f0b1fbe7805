"""The verbs that keep a home in order, one small file each."""
