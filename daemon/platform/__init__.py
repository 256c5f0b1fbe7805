"""What differs between macOS and Linux, one small file per subject."""
