"""The catalogues: which styles and which models there are, in the program's own files and in the user's.

A catalogue is read from several files, in order; each adds entries. The daemon and the pipeline read them here, by the same
rules, so that what the daemon accepts at its start is what a worker finds.
"""
