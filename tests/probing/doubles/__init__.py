"""Stand-ins for engines that the tests cannot start."""
