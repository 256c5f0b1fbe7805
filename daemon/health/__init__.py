"""Whether the daemon can work: its folders are there, its disks have room, workers start and files can be written."""
