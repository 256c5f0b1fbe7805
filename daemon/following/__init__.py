"""What follows the end of a job: its delivery to another folder, and its hook. Neither changes how the job ended.

The record of the end says what is owed (`Ended.owes`), so a crash at any moment loses none of it: at the next start, the journal
still says what is not over.
"""
