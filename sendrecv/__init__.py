"""A counting App with a main and a failover that never count twice, skip or overlap."""

__version__ = "1.0.0"
