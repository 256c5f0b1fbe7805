"""How workers come to be: started as a program, or forked by a template that has already loaded what they need."""
