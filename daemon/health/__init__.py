"""Checks whether the daemon can work: the folders are there, the disks have space, workers start and files can be written."""
