"""The catalogues: which styles and which models exist, in the program's own files and in the user's.

A catalogue is read from several files in order, and each adds entries. The daemon and the pipeline both read them here, by the
same rules. So what the daemon accepts at its start is what a worker finds.
"""
