"""`sendrecv proof`: the journal, read independently of those whom it judges.

Nothing here imports what sends, receives or stores counts, and nothing of that imports this: they
share only the errors of the command line. A test asserts it.
"""
