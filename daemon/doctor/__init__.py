"""The doctor: looks at everything that work hangs on, and says what is wrong and what to do.

`facts` asks the machine, `judging` makes findings of the answers and touches nothing, `model` is what is printed.
"""
