"""Request -> decision -> refund -> settled: the only place that moves money."""
