"""How the verbs show things on a terminal."""
