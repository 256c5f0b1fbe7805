"""How long tests wait for what must happen."""

#: A limit is given in seconds of a quiet machine. One core that four test processes share takes up to so many times as long.
SLOWEST = 4
