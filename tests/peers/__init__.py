"""Who else talks to the receiver, to a sender or to etcd: clients, storms, impostors, fake servers.

Good ones and bad ones. Tests run them: those of tests/unit in their own process, those of
tests/system in a booted machine, there also with Node.js (js/).
"""
