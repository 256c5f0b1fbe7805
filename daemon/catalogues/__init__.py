"""The catalogues: which styles and which models exist, in the program's own files and in the user's.

A catalogue is read from several files in order, and each file adds entries. The daemon and the pipeline both read catalogues with
this package, so a worker finds what the daemon accepted at its start.
"""
