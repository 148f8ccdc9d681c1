"""Figures: how fast, how large, how late. They are printed, and no test looks at them.

`make bench` measures the package in a booted machine, and with PEERS=1 the programs that it is
compared with. Each section takes minutes, the more the greater KILLS= is. Not part of `make test`:
what is measured depends on the machine, which should be idle.
"""
