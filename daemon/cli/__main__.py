"""`python -m daemon.cli`: the command line through the interpreter's own path, as service managers start it."""

from daemon.cli import main

if __name__ == "__main__":
    main()
