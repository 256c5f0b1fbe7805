"""Runs jobs on many machines: a Dask cluster decides where, the supervisor of that machine decides how, the daemon publishes.

Nothing imports this package, nor `distributed`, unless the settings or a verb ask for a cluster.

- `executor` is the daemon's side, with one thread for the network (`network`). `known_machines` is what it knows of the machines.
- `machine` is the other side: a Dask worker with the attempts of that machine, and a thread with a supervisor.
- `messages` is what they tell each other. `placement` decides which jobs fit on which machine.

The two sides agree on each attempt in four steps, so that each job is published exactly once, whatever Dask does:

1. The daemon asks Dask for a *seat*: a task whose key is the attempt's name. It occupies one slot of a machine, and does nothing.
2. The machine reports that an attempt has taken a seat there.
3. The daemon records `started`, with attempt and machine. Only then does it give that machine the order to run the job. A second
   seat for the same attempt, as after a rerun by Dask, never gets an order.
4. The machine runs the job, and reports how it ended. The daemon ignores reports about attempts that the journal does not name.
"""
