"""The program on each machine of a cluster: a Dask worker that gives seats to attempts, and a supervisor that runs them."""
