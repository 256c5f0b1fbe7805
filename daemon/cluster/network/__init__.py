"""The daemon's side of the network, in a thread of its own: it asks Dask for seats and talks to the machines.

- `connection` is the thread: it connects to the scheduler, and again when the connection is lost.
- `asking` keeps asking each machine what is new. `attempts` has the attempts that have or seek a seat, and what happens to them.
- `transfer` moves files. `events` is what the daemon's one thread is told.

Nothing here decides about jobs.
"""
