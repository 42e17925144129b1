"""The gRPC services: one file a service, each thin: validation, then the batcher, then the answer."""
