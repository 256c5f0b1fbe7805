"""What people and programs see of the jobs: status.json, daemon.json and the page, kept true."""
