"""What runs on problems of one's own are made from."""
