"""The processes of the bus, one folder each. None imports another; all stand on `bus` and `schemas`."""
