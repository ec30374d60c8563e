"""Everything on one machine: a real Kafka, the bus, the city's adapters. Needs the extra `subak[local]`."""
