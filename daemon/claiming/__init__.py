"""From the inbox to source/: decides which job a pair becomes, records it, then moves the files.

It also handles batches and control files.
"""
