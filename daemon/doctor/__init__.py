"""The doctor: checks everything that work depends on, and says what is wrong and what to do.

`facts` and `survey` examine the machine and the journal. `judging` turns the facts into findings and touches nothing. `model`
defines both. `repair` and `adopting` implement `doctor --repair`.
"""
