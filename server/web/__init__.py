"""Plain HTTP beside the gRPC server: webhooks of gateways and carriers, and the page that tracks a parcel."""
