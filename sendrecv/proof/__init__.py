"""`sendrecv proof`: the journal, read independently of those whom it judges.

Nothing here imports what sends, receives or stores counts, and nothing of that imports this: they
share only how a command line is parsed. A test asserts it.
"""
