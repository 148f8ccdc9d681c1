"""What is right: programs that judge a journal, etcd's history, imports, and the texts.

Tests of all kinds use them. Their own tests, with violations that are planted, are in
tests/unit/lab and tests/system. Three are commands, too: checker.py, imports.py and completion.py.
"""
