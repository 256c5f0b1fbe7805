"""What people and programs see of the jobs: keeps status.json, daemon.json and the page up to date."""
