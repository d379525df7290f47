"""A service is brought up to a newer template, or to other answers, and keeps what its team did."""
