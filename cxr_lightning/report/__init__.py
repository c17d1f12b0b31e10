"""Drawing and tables; computes nothing."""
