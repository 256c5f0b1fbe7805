"""How much longer tests take on the slowest machine."""

#: Time limits are given in seconds of an idle machine. If four test processes share one core, they need this many times as long.
SLOWEST = 4
