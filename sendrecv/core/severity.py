"""Severities of journal lines: those of syslog(3) that are used here."""

ERROR, WARNING, NOTICE, INFO = 3, 4, 5, 6
