"""Payment gateways: adapters that return plain data, and the row a gateway account lives in."""
