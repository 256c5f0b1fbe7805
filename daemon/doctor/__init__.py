"""The doctor: checks everything that work depends on, and says what is wrong and what to do.

`facts` examines the machine. `judging` turns the facts into findings and touches nothing. `model` is what is printed.
"""
