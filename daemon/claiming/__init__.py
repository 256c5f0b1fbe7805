"""From the inbox to source/: which job a pair becomes, the journal first and then the moves; batches and control files."""
