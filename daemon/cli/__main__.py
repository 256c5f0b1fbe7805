"""`python -m daemon.cli` runs the command line. Service managers start the daemon this way, by the interpreter's path."""

from daemon.cli import main

if __name__ == "__main__":
    main()
