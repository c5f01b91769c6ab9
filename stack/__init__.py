"""The local stack: embedded Postgres, embedded Redis and every process of the product, on one machine."""
