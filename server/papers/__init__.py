"""Papers of a parcel: label, invoice, manifest. They take what is printed and give bytes; who asks is server/cli."""
