"""The command `subak`: one for everybody who works with the bus."""
