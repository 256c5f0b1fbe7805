"""One file for each verb; what verbs share lies one folder up."""
