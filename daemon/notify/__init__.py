"""Shows the person at the machine how jobs end: by notifications, and by the colours of folders in Finder."""
