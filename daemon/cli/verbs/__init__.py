"""One file for each verb; what verbs share is one folder up."""
